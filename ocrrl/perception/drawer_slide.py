"""A part that slides in another tracked object, such as a drawer in its cabinet: which place it is in, and how far it is out.

Legend: a place is an index into `Slide.closed`; opening [m] along `Slide.axis`. The part's orientation is the other object's.
"""

import numpy as np

from ocrrl.perception.object_shapes import Slide
from ocrrl.perception.pixels import Pixels
from ocrrl.perception.pose_fit import FAST, Body, Fit, agreement, fit, mark_other

OPENINGS = 12  # tried over the travel, a place
LEAST_OPENING = 0.02  # [m] at which an open part is told from a closed one
LEAST_SCORE = 0.5
LEAST_PIXELS = 400.0  # of the picture that must agree
FACE_RADIUS = 0.16  # [m] of what is looked at about the part's face
SLIDING = 0.03  # [m] a frame, standard deviation
WIDTHS = np.array([0.020, 0.014, 0.010, 0.007, 0.007, 0.007])  # [m]


def slide_pose(
    slide: Slide, within: tuple[np.ndarray, np.ndarray], place: int, opening: float
) -> tuple[np.ndarray, np.ndarray]:
    """Rotation and position of the part in the base frame, of the object `within` at its rotation and position."""
    rotation, position = within
    offset = np.asarray(slide.closed[place]) + opening * np.asarray(slide.axis)
    return rotation, position + rotation @ offset


def opening_of(slide: Slide, within: tuple[np.ndarray, np.ndarray], place: int, position: np.ndarray) -> float:
    """How far out [m] the part at `position` is, within its travel."""
    offset = within[0].T @ (position - within[1]) - np.asarray(slide.closed[place])
    return float(np.clip(offset @ np.asarray(slide.axis), 0.0, slide.travel))


def find_open_part(
    body: Body, slide: Slide, holder: tuple[Body, np.ndarray, np.ndarray], pixels: Pixels, code: np.ndarray
) -> int | None:
    """The place whose part is out; None where every place looks closed.

    `holder` is the object it slides in, with rotation and position; a closed part looks the same in every place.
    """
    code = code.copy()
    mark_other(pixels, code, None, holder, everything=True)
    best, found = LEAST_SCORE, None
    for place in range(len(slide.closed)):
        for opening in np.linspace(LEAST_OPENING, slide.travel, OPENINGS):
            said = agreement(body, pixels, code, *slide_pose(slide, holder[1:], place, float(opening)))
            if said.agree >= LEAST_PIXELS and said.score > best:
                best, found = said.score, place
    return found


def rough_opening(
    body: Body,
    slide: Slide,
    within: tuple[np.ndarray, np.ndarray],
    place: int,
    pixels: Pixels,
    code: np.ndarray,
) -> float:
    """The opening [m] to refine from: of those over the travel the one that agrees best.

    A hand pushes faster than a kernel is wide.
    """
    tried = np.linspace(0.0, slide.travel, OPENINGS)
    scores = []
    for opening in tried:
        said = agreement(body, pixels, code, *slide_pose(slide, within, place, float(opening)))
        scores.append(said.evidence)
    return float(tried[int(np.argmax(scores))])


def follow_slide(
    body: Body,
    slide: Slide,
    within: tuple[np.ndarray, np.ndarray],
    place: int,
    position: np.ndarray,
    pixels: Pixels,
    code: np.ndarray,
) -> Fit:
    """The part's pose near `position` [m]: refined along its slide and nowhere else."""
    prior = np.full(6, FAST)
    prior[np.argmax(np.abs(slide.axis))] = SLIDING
    found = fit(body, pixels, code, within[0], position, WIDTHS, prior, rests=False)
    refined = slide_pose(slide, within, place, opening_of(slide, within, place, found.position))
    return Fit(*refined, found.information, agreement(body, pixels, code, *refined))
