"""What each pixel of a frame shows: an object, another object, the robot or the background."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ocrrl.interface.frames import Frame
from ocrrl.interface.kinematics import ArmKinematics
from ocrrl.interface.protocols import RobotPosture
from ocrrl.perception.tracking.fitting.pixels import (
    OBJECT,
    OTHER,
    ColourModel,
    Pixels,
    Window,
    classify,
    pixels_of,
    window_around,
)
from ocrrl.perception.tracking.fitting.pose_fit import Body
from ocrrl.perception.tracking.fitting.robot_mask import mark_robot, robot_capsules
from ocrrl.perception.tracking.fitting.signed_distance import rays_within, signed_distances
from ocrrl.perception.tracking.fitting.table_plane import TablePlane, find_table

MOST_PIXELS = 2400  # of a window
MOST_STEP = 7  # [pixels], 9 mm at 0.75 m: fewer pixels about a large object's outline would not hold it
MARGIN = 0.03  # [m] around an object in which its pixels are looked for
EXPLAINED_WITHIN = 0.008  # [m] of another object's surface, where a point is that object's

Placed = tuple[Body, np.ndarray, np.ndarray]
"""A body with its rotation (3, 3) and position (3,) [m] in the base frame."""


@dataclass(frozen=True)
class Sight:
    """A frame, with the table and the robot (`robot_mask`'s capsules) that are in it."""

    frame: Frame
    table: TablePlane
    capsules: np.ndarray


def sight_of(frame: Frame, robot: RobotPosture, table: TablePlane | None, kinematics: ArmKinematics) -> Sight:
    """The frame with the arm where `robot` says; `table` is None where it is not known yet.

    ValueError where `frame` is no aligned RGB-D frame or `robot` no posture, RuntimeError as `find_table`.
    """
    _require_frame(frame, robot)
    return Sight(frame, table or find_table(frame), robot_capsules(kinematics, robot))


def coded_pixels(
    sight: Sight, window: Window, body: Body, colour: ColourModel, others: Iterable[Placed], own: Placed | None = None
) -> tuple[Pixels, np.ndarray]:
    """The pixels of `window` and the code of each (`pixels.OBJECT` and its like); `others` explain theirs.

    `own` is the body's pose where it is known.
    """
    pixels = pixels_of(sight.frame, window, sight.table.depth_scale)
    code = classify(pixels, colour, sight.table.colour)
    mark_robot(pixels, code, sight.capsules, trust_colour=body.coloured and colour.seen)
    for other in others:
        mark_other(pixels, code, own, other)
    return pixels, code


def pixels_about(
    sight: Sight, placed: Placed, colour: ColourModel, others: Iterable[Placed], parts: Iterable[Placed] = ()
) -> tuple[Pixels, np.ndarray] | None:
    """The pixels about `placed` and the code of each; None where the camera does not see it.

    `others` explain their pixels; so do `parts`, bodies that belong to the object, and those of the object's colour too.
    """
    body, rotation, position = placed
    middle = position + rotation @ body.corners.mean(0)
    window = window_around(sight.frame, middle, body.radius, MARGIN, MOST_PIXELS, MOST_STEP)
    if window is None:
        return None
    pixels, code = coded_pixels(sight, window, body, colour, others, placed)
    for part in parts:
        mark_part(pixels, code, part)
    return pixels, code


def mark_other(pixels: Pixels, code: np.ndarray, own: Placed | None, other: Placed) -> None:
    """Write OTHER into the `code` of the points that lie on another body, of the object's colour only if that is nearer.

    `own` is None where its pose is not known yet.
    """
    body, rotation, position = other
    points = pixels.points()
    near = (pixels.depth > 0) & (((points - position) ** 2).sum(-1) < (body.radius + EXPLAINED_WITHIN) ** 2)
    rows = np.flatnonzero(near)
    if len(rows) == 0:
        return
    distance = np.abs(signed_distances(body.rows, (points[rows] - position) @ rotation))
    mine = np.zeros(len(rows))
    if own is not None:
        mine = np.abs(signed_distances(own[0].rows, (points[rows] - own[2]) @ own[1]))
    theirs = (distance < EXPLAINED_WITHIN) & ((code[rows] != OBJECT) | (distance < mine - 0.003))
    code[rows[theirs & (code[rows] <= OBJECT)]] = OTHER


def mark_part(pixels: Pixels, code: np.ndarray, part: Placed) -> None:
    """Write OTHER into the `code` of all that shows a part of the object, whatever its colour, also where no depth was measured."""
    body, rotation, position = part
    distance = signed_distances(body.rows, (pixels.points() - position) @ rotation)
    origin = (pixels.camera - position) @ rotation
    holes = pixels.depth <= 0
    distance[holes] = np.inf
    passing = np.flatnonzero(holes & (code <= OBJECT))
    theirs = distance < EXPLAINED_WITHIN
    theirs[passing] = rays_within(body.solid, body.radius, origin, pixels.rays[passing] @ rotation, EXPLAINED_WITHIN)
    code[theirs & (code <= OBJECT)] = OTHER


def _require_frame(frame: Frame, robot: RobotPosture) -> None:
    lens = frame.intrinsics
    size = (lens.height, lens.width)
    if frame.colour.shape != (*size, 3) or frame.colour.dtype != np.uint8:
        raise ValueError(
            f"a frame's colour must be {(*size, 3)} uint8 as its intrinsics say, got {frame.colour.shape} {frame.colour.dtype}"
        )
    if frame.depth.shape != size or frame.depth.dtype != np.float32:
        raise ValueError(
            f"a frame's depth must be {size} float32 in metres, aligned to its colour, got {frame.depth.shape} "
            f"{frame.depth.dtype}"
        )
    joints = np.asarray(robot.joint_positions, float)
    if joints.shape != (7,) or not np.isfinite(joints).all() or not np.isfinite(robot.gripper_width):
        raise ValueError(f"a robot's posture must be 7 joint positions [rad] and a width [m], got {robot}")
