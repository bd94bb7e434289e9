"""The pixels about an object's pose and what each shows, so that objects and robot explain each other's pixels."""

from collections.abc import Iterable

import numpy as np

from ocrrl.interface.frames import Frame
from ocrrl.perception.tracking.fitting.pixels import ColourModel, Pixels, pixels_of, window_around
from ocrrl.perception.tracking.fitting.pose_fit import Body, mark_other, mark_part
from ocrrl.perception.tracking.fitting.registration import classify_for
from ocrrl.perception.tracking.fitting.table_plane import TablePlane

MOST_PIXELS = 2400  # of a window
MOST_STEP = 7  # [pixels], 9 mm at 0.75 m: fewer pixels about a large object's outline would not hold it
MARGIN = 0.03  # [m] around an object in which its pixels are looked for

Placed = tuple[Body, np.ndarray, np.ndarray]
"""A body with its rotation (3, 3) and position (3,) [m] in the base frame."""


def pixels_about(
    frame: Frame,
    table: TablePlane,
    capsules: np.ndarray,
    placed: Placed,
    colour: ColourModel,
    others: Iterable[Placed],
    parts: Iterable[Placed] = (),
) -> tuple[Pixels, np.ndarray] | None:
    """The pixels about `placed` and the code of each (`pixels.OBJECT` and its like); None where the camera does not see it.

    `others` explain their pixels; so do `parts`, bodies that belong to the object, and those of the object's colour too.
    """
    body, rotation, position = placed
    window = window_around(
        frame, position + rotation @ body.corners.mean(0), body.radius, MARGIN, MOST_PIXELS, MOST_STEP
    )
    if window is None:
        return None
    pixels = pixels_of(frame, window, table.depth_scale)
    code = classify_for(body, pixels, colour, table, capsules)
    for other in others:
        mark_other(pixels, code, placed, other)
    for part in parts:
        mark_part(pixels, code, part)
    return pixels, code
