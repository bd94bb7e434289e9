"""A part that slides in another tracked object, such as a drawer in its cabinet: which drawer, and its opening.

The other object (the holder) gives the part's orientation and the line that the part moves along; one number is left to find.
Legend: a place is an index into `Slide.closed`; an opening [m] is along `Slide.axis`, 0 where the part is closed. The swept
box of a place is what the part's face passes through between closed and fully open, in the holder's frame.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ocrrl.perception.tracking.fitting.object_pixels import EXPLAINED_WITHIN, Placed, Sight, coded_pixels
from ocrrl.perception.tracking.fitting.pixels import OBJECT, OTHER, ColourModel, Pixels, window_of
from ocrrl.perception.tracking.fitting.pose_fit import APART, FAST, Body, Fit, agreement, fit, with_lead
from ocrrl.perception.tracking.fitting.registration import plausible
from ocrrl.perception.tracking.fitting.render_and_compare import Agreement, cast
from ocrrl.perception.tracking.fitting.signed_distance import signed_distances
from ocrrl.tabletop.parts.object_shapes import Box, ObjectShape, Slide

COARSE_PIXELS, FINE_PIXELS = 500, 2000  # of a window: to look along the slide, to refine
MARGIN = 0.02  # [m] around the swept box in which pixels are looked at
ACROSS = 0.006  # [m] by which measured points of the face may lie outside the swept box
STEP = 0.008  # [m] between the openings that are tried
PLAY = 0.006  # [m] by which an opening may seem less than closed or more than the travel
LEAST_OPENING = 0.02  # [m] at which an open part is told from a closed one
LEAST_EVIDENCE, LEAST_SCORE = 800.0, 0.5  # of a place whose part is open: [pixels] more than in any other place; share
LEAST_PIXELS, LEAST_VISIBLE = 250.0, 0.25  # of the part that are seen; share of what its holder does not hide
LEAST_LEAD = 250.0  # [pixels] of evidence over any other opening
SLIDING = 0.02  # [m] of the opening that is refined, standard deviation
CLOSED = 0.012  # [m] of depth by which a holder's surface may lie before that of a closed part
WIDTHS = np.array([0.014, 0.012, 0.010, 0.007, 0.007, 0.007])  # [m]


class Found(NamedTuple):
    """A part with the place that it is in, and the pixels in which it was found."""

    fit: Fit
    place: int
    pixels: Pixels
    code: np.ndarray


class OpenPlace(NamedTuple):
    """A place whose part is out."""

    place: int
    evidence: float
    """`Agreement.evidence` [pixels]."""


class SlideView(NamedTuple):
    """What the search for a part needs to know of a frame."""

    sight: Sight
    holder: Placed
    others: list[Placed]
    """Objects other than part and holder that explain pixels."""


def slide_pose(slide: Slide, holder: Placed, place: int, opening: float) -> tuple[np.ndarray, np.ndarray]:
    """Rotation and position of the part in the base frame."""
    _, rotation, position = holder
    offset = np.asarray(slide.closed[place]) + opening * np.asarray(slide.axis)
    return rotation, position + rotation @ offset


def nearest_place(slide: Slide, holder: Placed, position: np.ndarray) -> int:
    """The place on whose line the part at `position` [m] lies, or nearly lies."""
    _, rotation, at = holder
    offsets = rotation.T @ (position - at) - np.asarray(slide.closed)
    axis = np.asarray(slide.axis)
    return int(np.linalg.norm(offsets - np.outer(offsets @ axis, axis), axis=1).argmin())


def opening_of(slide: Slide, holder: Placed, place: int, position: np.ndarray) -> float:
    """How far out [m] the part at `position` is, within its travel and the `PLAY` that the holder's own error takes up."""
    _, rotation, at = holder
    offset = rotation.T @ (position - at) - np.asarray(slide.closed[place])
    return float(np.clip(offset @ np.asarray(slide.axis), -PLAY, slide.travel + PLAY))


class Range(NamedTuple):
    """Openings [m] to look between, and the lead [pixels] that a part found there must have."""

    low: float
    high: float
    least_lead: float = LEAST_LEAD


def find_in_place(
    body: Body, slide: Slide, colour: ColourModel, view: SlideView, place: int, ranges: Sequence[Range]
) -> Found | None:
    """The part in `place`, in the first of `ranges` where it is plausible; None in none, or where the camera does not see `place`."""
    coarse = _pixels(body, slide, colour, view, place, COARSE_PIXELS)
    fine = _pixels(body, slide, colour, view, place, FINE_PIXELS)
    if coarse is None or fine is None:
        return None
    for one in ranges:
        found = _refined(body, slide, view.holder, place, coarse, fine, one)
        if _plausible_part(found, one.least_lead):
            return Found(found, place, *fine)
    return None


def _refined(
    body: Body,
    slide: Slide,
    holder: Placed,
    place: int,
    coarse: tuple[Pixels, np.ndarray],
    fine: tuple[Pixels, np.ndarray],
    between: Range,
) -> Fit:
    """The opening with the most evidence, refined along the slide; its lead is over all openings that were tried."""
    low, high = np.clip((between.low, between.high), -PLAY, slide.travel + PLAY)
    tried, evidence = _along_slide(body, slide, holder, place, coarse, low, high)
    prior = np.full(6, FAST)
    prior[np.argmax(np.abs(slide.axis))] = SLIDING
    start = slide_pose(slide, holder, place, float(tried[evidence.argmax()]))
    refined = fit(body, *fine, *start, WIDTHS, prior, rests=False)
    opening = opening_of(slide, holder, place, refined.position)
    pose = slide_pose(slide, holder, place, opening)
    said = _of_what_the_holder_leaves(agreement(body, *fine, *pose), (body, *pose), holder, fine[0])
    found = with_lead(body, *fine, Fit(*pose, refined.information, said))
    searched = evidence[np.abs(tried - opening) > 0.5 * APART].max(initial=-np.inf)
    return replace(found, lead=min(found.lead, said.evidence - searched))


def _plausible_part(found: Fit, least_lead: float) -> bool:
    """Whether enough of the part is seen, and no other opening explains the image nearly as well."""
    said = found.agreement
    seen = said.agree >= LEAST_PIXELS and said.visible >= LEAST_VISIBLE
    return plausible(found) and seen and found.lead >= least_lead


def open_place(body: Body, slide: Slide, colour: ColourModel, view: SlideView, known: int | None) -> OpenPlace | None:
    """The place whose part is out; None where no place other than `known` has clearly the most evidence.

    A closed part looks the same in every place.
    """
    found = []
    for place in range(len(slide.closed)):
        pixels = _pixels(body, slide, colour, view, place, COARSE_PIXELS)
        if pixels is None:
            continue
        low = 0.0 if place == known else LEAST_OPENING
        tried, along = _along_slide(body, slide, view.holder, place, pixels, low, slide.travel)
        opening, evidence = float(tried[along.argmax()]), float(along.max())
        score = agreement(body, *pixels, *slide_pose(slide, view.holder, place, opening)).score
        found.append((evidence, score, place))
    found.sort(reverse=True)
    if not found:
        return None
    evidence, score, place = found[0]
    lead = evidence - max(found[1][0] if len(found) > 1 else 0.0, 0.0)
    if place == known or lead < LEAST_EVIDENCE or score < LEAST_SCORE:
        return None
    return OpenPlace(place, evidence)


def where_it_may_be(shape: ObjectShape, holder: Placed, place: int | None) -> list[Placed]:
    """Bodies that fill what the part may take up: in `place`, or None, in any place, clear of what is closed."""
    if place is not None:
        return [(_swept(shape, 0.0)[place], *holder[1:])]
    return [(body, *holder[1:]) for body in _swept(shape, 2.0 * EXPLAINED_WITHIN)]


@cache
def open_holder(holder: ObjectShape, slide: Slide, place: int) -> Body:
    """The holder without what it shows of the closed part in `place`: the part that is out leaves a gap there."""
    front, closed = holder.primitives[slide.front], np.asarray(slide.closed)
    assert isinstance(front, Box)
    along = int(np.ptp(closed, axis=0).argmax())
    half = 0.5 * float(np.diff(np.sort(closed[:, along])).min(initial=2.0 * front.half_size[along]))
    pieces = [(front.centre[along] - front.half_size[along], closed[place, along] - half)]
    pieces += [(closed[place, along] + half, front.centre[along] + front.half_size[along])]
    boxes = []
    for low, high in pieces:
        if high - low > half:
            size, centre = list(front.half_size), list(front.centre)
            size[along], centre[along] = 0.5 * (high - low), 0.5 * (high + low)
            boxes.append(Box((size[0], size[1], size[2]), (centre[0], centre[1], centre[2])))
    others = tuple(p for k, p in enumerate(holder.primitives) if k != slide.front)
    return Body(replace(holder, primitives=others + tuple(boxes)))


@cache
def _swept(shape: ObjectShape, clear: float) -> tuple[Body, ...]:
    """What the face sweeps of each place, in the holder's frame; if `clear` is not 0, from that far [m] before the closed face on."""
    assert shape.slide is not None
    out, bodies = np.asarray(shape.slide.axis), []
    for place in range(len(shape.slide.closed)):
        low, high = _swept_box(shape, place)
        if clear:
            begin = (clear + 2.0 * float(np.abs(out) @ _face(shape).half_size)) * out
            low, high = np.where(out > 0, low + begin, low), np.where(out < 0, high + begin, high)
        box = Box(tuple(0.5 * (high - low)), tuple(0.5 * (high + low)))
        bodies.append(Body(ObjectShape((box,), shape.colour)))
    return tuple(bodies)


def _along_slide(
    body: Body,
    slide: Slide,
    holder: Placed,
    place: int,
    pixels: tuple[Pixels, np.ndarray],
    low: float,
    high: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Openings [m] from `low` to `high` and the evidence [pixels] for each."""
    tried = np.linspace(low, high, int(np.ceil((high - low) / STEP)) + 1)
    said = [agreement(body, *pixels, *slide_pose(slide, holder, place, float(opening))) for opening in tried]
    return tried, np.array([one.evidence for one in said])


def _of_what_the_holder_leaves(said: Agreement, part: Placed, holder: Placed, pixels: Pixels) -> Agreement:
    """The agreement without the pixels in which the holder hides the part: they do not tell how much of the part is covered."""
    hits, before = (
        cast(body.rows, body.radius, rotation, position, pixels.camera, pixels.rays)
        for body, rotation, position in (part, holder)
    )
    predicted = float(((hits > 0) & ((before == 0) | (before > hits - CLOSED))).sum()) * pixels.window.step**2
    return said._replace(predicted=predicted, covered=max(said.covered - (said.predicted - predicted), 0.0))


def _pixels(
    body: Body, slide: Slide, colour: ColourModel, view: SlideView, place: int, most: int
) -> tuple[Pixels, np.ndarray] | None:
    """The pixels about the swept box of `place` and their code; the holder explains its own but for that box."""
    holder, rotation, position = view.holder
    low, high = _swept_box(body.shape, place)
    corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    window = window_of(view.sight.frame, position + corners @ rotation.T, MARGIN, most)
    if window is None:
        return None
    pixels, code = coded_pixels(view.sight, window, body, colour, view.others)
    points = (pixels.points() - position) @ rotation
    inside = ((points > low - ACROSS) & (points < high + ACROSS)).all(1)
    on_holder = np.abs(signed_distances(holder.rows, points)) < EXPLAINED_WITHIN
    code[on_holder & ~inside & (pixels.depth > 0) & (code <= OBJECT)] = OTHER
    return pixels, code


def _swept_box(shape: ObjectShape, place: int) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    """Lowest and highest corner."""
    assert shape.slide is not None
    face = _face(shape)
    closed = np.asarray(shape.slide.closed[place]) + face.centre
    ends = np.stack([closed, closed + np.asarray(shape.slide.axis) * shape.slide.travel])
    return ends.min(0) - np.asarray(face.half_size), ends.max(0) + np.asarray(face.half_size)


def _face(shape: ObjectShape) -> Box:
    face = shape.primitives[0]
    assert isinstance(face, Box)
    return face
