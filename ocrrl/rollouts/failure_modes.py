"""What first went wrong in an episode that failed (Table 6), read from its true states and actions, the same in every cell.

The thresholds below are all that the rules and those of `emergent_behaviours` know of sizes: metres and control steps. Legend: T
control steps; gripper frame: x along the pads, y the closing axis, z the approach; drawer frame: as the tracked drawer's.
"""

from enum import StrEnum

import numpy as np
from jaxtyping import Bool, Float

from ocrrl.interface import rotations
from ocrrl.interface.handled_object import Graspable, Pushable
from ocrrl.rollouts.state_trace import StateTrace

CLOSED_COMMAND = 0.5
"""Gripper entry of an action below which the fingers are commanded to close."""
CLOSING_STEPS = 3
"""Such actions in a row that begin an attempt to grasp, or, of the others, a release."""
EMPTY_WIDTH = 0.015
"""[m] between the fingers below which they have closed on nothing; the narrowest object to grasp is 4 cm wide."""
ROUND_WIDTH = 0.04
"""[m] between the fingers below which they no longer go round an object: a hand that then stands on one closed too early."""
LIFTED = 0.01
"""[m] above its first height from which an object counts as lifted."""
IN_HAND = 0.045
"""[m] of the gripper frame from the graspable line, beyond which the object is not in the hand."""
SECURED = 0.015
"""[m] of the gripper frame from the graspable line within which closed fingers are on the object."""
HELD_STEPS = 5
"""Control steps in a row for which the hand must have the object, or be without it, to count."""
HOVER_HEIGHT = 0.015
"""[m] along the approach from which fingers that close are too high for an object 4 cm high."""
HOVER_SIDE = 0.025
"""[m] across the approach up to which the hand is over the object."""
PRESSED = 0.003
"""[m] by which a hand that stands on an object pushes it into the table."""
TOUCHED = 0.003
"""[m] from its first place at which an object counts as touched."""
STALLED = 0.01
"""[m] of the commanded from the measured hand from which something is in its way."""
TABLE_DEPTH = 0.01
"""[m] past the graspable line at which the fingers are on the table, so that the table stops the hand."""
BLOCKED_STEPS = 5
"""Control steps in a row of pressing or stalling that make a failed attempt a collision."""
STUCK_STEPS = 40
"""Control steps in a row of pressing or stalling that are a failure whatever follows."""
SHOVED = 0.02
"""[m] across the table by which an open hand pushes an object away."""
PUSHED = 0.01
"""[m] that a drawer has slid in, for the hand to have pushed it."""
BEFORE_FACE = 0.02
"""[m] in front of a drawer's face from which the hand can touch it: the fingers are 1.3 cm thick."""


class FailureMode(StrEnum):
    """The value is what tables say. Table 6 has the first four; the others come later in an episode."""

    HOVERS = "hovers"
    """Closes, or stays, over the object and too high; passes over or under a drawer's face without pushing it."""
    STOPS_SHORT = "stops short"
    """Closes, or stays, beside the object or turned so that the fingers do not fit over it; never reaches a drawer's face."""
    COLLIDES = "collides"
    """Stands on the object, stalls on it or pushes it away, and does not get it."""
    WRONG_ANGLE = "wrong angle"
    """Pushes a drawer off the middle of its face, so that the hand meets the cabinet before the drawer is closed."""
    LOSES = "loses it"
    """Had the object and lost it with the fingers commanded to close; left the face of a drawer that it was pushing."""
    MISPLACES = "misplaces"
    """Had the object and opened the fingers, and the task was not solved by that."""
    UNFINISHED = "unfinished"
    """Had the object, or was on the middle of the face, to the end of the episode."""


def first_failure(trace: StateTrace, handled: Graspable | Pushable) -> FailureMode:
    """The first failure of an episode that did not succeed."""
    if isinstance(handled, Pushable):
        return _failed_push(PushCourse(trace, handled))
    return _failed_grasp(GraspCourse(trace, handled))


class GraspCourse:
    """What the rules ask of an episode in which an object is to be grasped."""

    def __init__(self, trace: StateTrace, handled: Graspable) -> None:
        gripper, thing = trace.gripper_pose.astype(float), trace.object_poses[:, 0].astype(float)
        to_gripper = rotations.conjugate(gripper[:, 3:])
        position = rotations.rotate(to_gripper, thing[:, :3] - gripper[:, :3])
        axis = rotations.rotate(rotations.multiply(to_gripper, thing[:, 3:]), np.asarray(handled.axis, float))
        along = np.clip((position * axis).sum(-1), -handled.half_length, handled.half_length)
        self.grasp_point: Float[np.ndarray, "T 3"] = position - along[:, None] * axis
        """The nearest point of the graspable line, in the gripper frame [m]."""
        self.distance: Float[np.ndarray, " T"] = np.linalg.norm(self.grasp_point, axis=-1)
        self.side: Float[np.ndarray, " T"] = np.linalg.norm(self.grasp_point[:, :2], axis=-1)
        """Of the grasp point, across the approach [m]."""
        self.width: Float[np.ndarray, " T"] = trace.gripper_width.astype(float)
        self.closing: Bool[np.ndarray, " T"] = trace.action[:, 6] < CLOSED_COMMAND
        self.height: Float[np.ndarray, " T"] = thing[:, 2] - thing[0, 2]
        self.moved: Float[np.ndarray, " T"] = np.linalg.norm(thing[:, :2] - thing[0, :2], axis=-1)
        self.between: Bool[np.ndarray, " T"] = (self.distance < IN_HAND) & (self.width > EMPTY_WIDTH)
        """The object may be between the fingers."""
        self.has: Bool[np.ndarray, " T"] = self.between & (self.height > LIFTED)
        lag = np.linalg.norm(trace.commanded_pose[:, :3].astype(float) - gripper[:, :3], axis=-1)
        touched = np.hypot(self.moved, self.height) > TOUCHED
        stalled = touched & (lag > STALLED) & (self.grasp_point[:, 2] > -TABLE_DEPTH)
        reaching = ~self.has & (self.distance < 2 * IN_HAND) & (self.width > ROUND_WIDTH)
        self.blocked: Bool[np.ndarray, " T"] = reaching & ((self.height < -PRESSED) | stalled)
        """The open hand stands on the object or is stopped by it."""

    def __len__(self) -> int:
        return len(self.width)

    def grasps(self) -> int | None:
        """The step at which the hand first has the object."""
        return first_run(self.has, HELD_STEPS)

    def misses(self) -> int | None:
        """The step at which the fingers first have closed on nothing."""
        return first_run(self.width < EMPTY_WIDTH, 1)


class PushCourse:
    """What the rules ask of an episode in which a drawer is to be pushed."""

    def __init__(self, trace: StateTrace, handled: Pushable) -> None:
        poses = (trace.gripper_pose, trace.object_poses[:, 0], trace.object_poses[:, 1])
        gripper, drawer, cabinet = (pose.astype(float) for pose in poses)
        to_drawer = rotations.conjugate(drawer[:, 3:])
        out, up = np.asarray(handled.opening_axis, float), np.array([0.0, 0.0, 1.0])
        self.offset: Float[np.ndarray, "T 3"] = rotations.rotate(to_drawer, gripper[:, :3] - drawer[:, :3])
        """Of the gripper frame from the middle of the face, in the drawer's frame [m]."""
        self.opening: Float[np.ndarray, " T"] = rotations.rotate(to_drawer, drawer[:, :3] - cabinet[:, :3]) @ out
        """How far the drawer is out, but for a constant [m]."""
        self.on_middle: Bool[np.ndarray, " T"] = (np.abs(self.offset @ up) < handled.half_height) & (
            np.abs(self.offset @ np.cross(up, out)) < handled.half_width
        )
        self.at_face: Bool[np.ndarray, " T"] = self.offset @ out < BEFORE_FACE

    def __len__(self) -> int:
        return len(self.opening)

    def slides(self) -> int | None:
        """The step at which the drawer has been pushed in."""
        return first_run(self.opening[0] - self.opening > PUSHED, 1)


def first_run(of: Bool[np.ndarray, " T"], steps: int, start: int = 0) -> int | None:
    """The first step from `start` on at which `of` begins to hold for so many steps in a row."""
    count = 0
    for t in range(start, len(of)):
        count = count + 1 if of[t] else 0
        if count == steps:
            return t - steps + 1
    return None


def _failed_grasp(course: GraspCourse) -> FailureMode:
    """The first attempt ends when the hand has the object, closes on nothing, is stuck, or with the episode."""
    end = len(course)
    grasped, missed, stuck = (
        end if step is None else step
        for step in (course.grasps(), course.misses(), first_run(course.blocked, STUCK_STEPS))
    )
    if grasped < min(missed, stuck, end):
        return _failed_carry(course, grasped)
    closing = first_run(course.closing[:missed], CLOSING_STEPS)
    blocked = first_run(course.blocked[:missed], BLOCKED_STEPS) is not None
    if blocked or course.moved[:missed][: closing if closing is None else closing + 1].max(initial=0.0) > SHOVED:
        return FailureMode.COLLIDES
    if missed == end and course.closing[-1] and course.distance[-1] < SECURED:
        return FailureMode.UNFINISHED
    attempt = slice(closing or 0, missed)
    nearest = (closing or 0) + int(course.distance[attempt].argmin())
    over = course.side[nearest] < HOVER_SIDE and course.grasp_point[nearest, 2] > HOVER_HEIGHT
    return FailureMode.HOVERS if over else FailureMode.STOPS_SHORT


def _failed_carry(course: GraspCourse, grasped: int) -> FailureMode:
    down = first_run(~course.has, HELD_STEPS, grasped)
    if down is None:
        return FailureMode.UNFINISHED
    away = first_run(~course.between, 1, down)
    if first_run(~course.closing[:away], CLOSING_STEPS, max(0, down - HELD_STEPS)) is not None:
        return FailureMode.MISPLACES
    return FailureMode.UNFINISHED if away is None else FailureMode.LOSES


def _failed_push(course: PushCourse) -> FailureMode:
    slides = course.slides()
    if slides is None:
        return FailureMode.HOVERS if course.at_face.any() else FailureMode.STOPS_SHORT
    if first_run(~course.at_face, HELD_STEPS, slides) is not None:
        return FailureMode.LOSES
    return FailureMode.UNFINISHED if course.on_middle[slides:].mean() > 0.5 else FailureMode.WRONG_ANGLE
