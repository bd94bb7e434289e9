"""Finds an object in a frame without a previous pose."""

import numpy as np

from ocrrl.perception.tracking.fitting.gauss_newton import WIDE
from ocrrl.perception.tracking.fitting.hypotheses import poses_near, regions, turned_end_over_end
from ocrrl.perception.tracking.fitting.object_pixels import Placed, Sight, coded_pixels
from ocrrl.perception.tracking.fitting.pixels import OBJECT, ColourModel, Pixels, whole_window, window_around
from ocrrl.perception.tracking.fitting.pose_fit import Body, Fit, fit
from ocrrl.perception.tracking.fitting.render_and_compare import cast

SEARCH_STEP = 3  # [pixels] between those in which regions are looked for
COARSE_PIXELS, FINE_PIXELS = 400, 1800  # of a window
MARGIN = 0.04  # [m]
NARROWER = 0.012  # [m], kernel of a last refinement
COARSE_ITERATIONS, FINE_ITERATIONS = 7, 12
LEAST_VISIBLE = 0.35  # of an object that is believed to be found
LEAST_REGION = 0.25  # of an object's least area, less than `LEAST_VISIBLE` since colours are not all recognised
LEAST_VISIBLE_FIRST, LEAST_SCORE_FIRST = 0.85, 0.935  # of one that was not seen before
OUTLINE = (
    5.0  # over the root of its pixels: what the score of a good pose lacks, since outlines are never matched exactly
)
MOST_OFF_REST = (float(np.deg2rad(4.0)), 0.010)  # [rad], [m] by which that one may be off lying on the table
# Of a cabinet before its drawers are found, which pull it along their slide: explained, contradicted, open to view.
LEAST_WITH_PARTS, MOST_CONTRADICTED_WITH_PARTS, LEAST_OPEN_WITH_PARTS = 0.75, 0.25, 0.75
LEAST_INLIER_TRACKED, MOST_CONTRADICTED_TRACKED, LEAST_PIXELS_TRACKED = 0.5, 0.25, 40.0
FEW_PIXELS = 100.0  # of the image, which cost a pose all its score
REFINED = 5  # hypotheses of a region that are refined at full resolution
LEAST_EXPLAINED, MOST_CONTRADICTED, LEAST_OPEN, LEAST_SCORE = 0.90, 0.12, 0.88, 0.78
SPREAD, TURN_SPREAD = 0.05, 0.6  # [m], [rad] of a hypothesis
LEARNED_SPREAD, MOST_LEARNED = np.array([0.03, 0.045, 0.10]), np.array([0.06, 0.09, 0.16])  # of a tint that was seen


def find(body: Body, sight: Sight, colour: ColourModel, others: list[Placed], again: bool) -> Fit | None:
    """The best pose of the body in a frame that stands the test; None where there is none.

    `others` are found already; `again`: it was seen before, so that it may be in the air.
    """
    everything, code = coded_pixels(sight, whole_window(sight.frame, SEARCH_STEP), body, colour, others)
    best: Fit | None = None
    for middle in regions(everything, code, body.radius, LEAST_REGION * body.least_area):
        candidate = _best_near(body, sight, colour, others, middle, again)
        if candidate is None or not stands_test(body, candidate, again):
            continue
        if best is None or _merit(candidate) > _merit(best):
            best = candidate
    return best


def stands_test(body: Body, found: Fit, again: bool = False) -> bool:
    """Whether a pose found anew is the object's: it leaves none of its colour around it unexplained, is contradicted by
    little, and most of what nothing covers has the object's colour. A tracked pose need not be as good.

    `again`: it was seen before. Where it was not, things of nearly its size and shape must be told from it: most of it must be
    seen (with its end hidden a shorter one looks the same), it must fit closely, and it must lie on the table (a cylinder
    looks like a tilted cup).
    """
    said = found.agreement
    if not (again or body.shape.stands):
        tilt, height = body.off_rest(found.rotation, found.position)
        score = said.score + OUTLINE / np.sqrt(max(said.agree, 1.0))
        if said.visible < LEAST_VISIBLE_FIRST or score < LEAST_SCORE_FIRST:
            return False
        if tilt > MOST_OFF_REST[0] or abs(height) > MOST_OFF_REST[1]:
            return False
    explained, contradicted, open_to_view = LEAST_EXPLAINED, MOST_CONTRADICTED, LEAST_OPEN
    if body.shape.stands:
        explained, contradicted = LEAST_WITH_PARTS, MOST_CONTRADICTED_WITH_PARTS
        open_to_view = LEAST_OPEN_WITH_PARTS
    elif said.score < LEAST_SCORE:
        return False
    return (
        said.visible >= LEAST_VISIBLE
        and said.explained >= explained
        and said.contradicted <= contradicted
        and said.agree >= open_to_view * max(said.predicted - said.covered, 1.0)
    )


def plausible(found: Fit) -> bool:
    """Whether a tracked pose may be gone on with: enough of the object is seen, and little of what it should hide."""
    said = found.agreement
    return (
        said.inlier > LEAST_INLIER_TRACKED
        and said.contradicted < MOST_CONTRADICTED_TRACKED
        and said.agree >= LEAST_PIXELS_TRACKED
    )


def _merit(found: Fit) -> float:
    """To compare poses in different places: the score, less for one that few pixels speak for."""
    return found.agreement.score - FEW_PIXELS / max(found.agreement.agree, 1.0)


def learned_colour(body: Body, pixels: Pixels, code: np.ndarray, found: Fit, nominal: ColourModel) -> ColourModel:
    """The colour that the found object has in this light."""
    hits = cast(body.rows, body.radius, found.rotation, found.position, pixels.camera, pixels.rays)
    own = (code == OBJECT) & (hits > 0) & (np.abs(pixels.depth - hits) < 0.015)
    if own.sum() < 20:
        return nominal
    tint = pixels.tint[own]
    return ColourModel(np.median(tint, axis=0), np.clip(1.5 * tint.std(0), LEARNED_SPREAD, MOST_LEARNED), seen=True)


def _best_near(
    body: Body, sight: Sight, colour: ColourModel, others: list[Placed], middle: np.ndarray, again: bool
) -> Fit | None:
    """The best pose whose visible surface is about `middle`: all hypotheses coarsely, the best ones finely."""
    views: list[tuple[Pixels, np.ndarray]] = []
    for most in (COARSE_PIXELS, FINE_PIXELS):
        window = window_around(sight.frame, middle, body.radius, MARGIN, most)
        if window is None:
            return None
        views.append(coded_pixels(sight, window, body, colour, others))
    prior = body.prior(max(SPREAD, body.inner_radius), TURN_SPREAD)
    coarse_widths, fine_widths = body.widths(WIDE, COARSE_ITERATIONS), body.widths(WIDE, FINE_ITERATIONS)
    seen, seen_finely = views[0], views[1]
    hypotheses = poses_near(body, middle, sight.frame.camera_pose[:3], again)
    coarse = [fit(body, *seen, *start, coarse_widths, prior, rests=not again) for start in hypotheses]
    coarse.sort(key=lambda candidate: -candidate.agreement.score)
    starts = [(candidate.rotation, candidate.position) for candidate in coarse[:REFINED]]
    if body.shape.ends == "differ":
        starts += [turned_end_over_end(body, rotation, position) for rotation, position in starts]
    fine = [fit(body, *seen_finely, *start, fine_widths, prior, rests=not again) for start in starts]
    best = max(fine, key=lambda candidate: candidate.agreement.score)
    again_near = body.widths(NARROWER, FINE_ITERATIONS)
    return fit(body, *seen_finely, best.rotation, best.position, again_near, prior, rests=not again)
