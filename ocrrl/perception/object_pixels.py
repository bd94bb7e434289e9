"""The pixels about an object's pose and what each shows, so that objects and robot explain each other's pixels."""

from collections.abc import Iterable

import numpy as np

from ocrrl.perception.frames import Frame
from ocrrl.perception.pixels import ColourModel, Pixels, pixels_of, window_around
from ocrrl.perception.pose_fit import Body, mark_other
from ocrrl.perception.registration import classify_for
from ocrrl.perception.table_plane import TablePlane

MOST_PIXELS = 2400  # of a window
MARGIN = 0.03  # [m] around an object in which its pixels are looked for

Placed = tuple[Body, np.ndarray, np.ndarray]
"""A body with its rotation (3, 3) and position (3,) [m] in the base frame."""


def pixels_about(
    frame: Frame,
    table: TablePlane,
    capsules: np.ndarray,
    placed: Placed,
    colour: ColourModel,
    others: Iterable[tuple[Placed, bool]],
    ball: tuple[np.ndarray, float] | None = None,
) -> tuple[Pixels, np.ndarray] | None:
    """The pixels about `placed` and the code of each (`pixels.OBJECT` and its like); None where the camera does not see it.

    `others` explain their pixels, with whether those of the object's colour too (a part of it). `ball` is the centre and radius
    [m] of what is looked at, if not the whole body.
    """
    body, rotation, position = placed
    centre, radius = ball or (position + rotation @ body.corners.mean(0), body.radius)
    window = window_around(frame, centre, radius, MARGIN, MOST_PIXELS)
    if window is None:
        return None
    pixels = pixels_of(frame, window, table.depth_scale)
    code = classify_for(body, pixels, colour, table, capsules)
    for other, everything in others:
        mark_other(pixels, code, placed, other, everything)
    return pixels, code
