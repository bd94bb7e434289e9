"""Behaviours that A.9 names as the residual's, and a second attempt after a failed one; read as `failure_modes` reads episodes."""

from enum import StrEnum

import numpy as np

from ocrrl.interface import rotations
from ocrrl.interface.handled_object import Graspable, Pushable
from ocrrl.rollouts.failure_modes import (
    HELD_STEPS,
    GraspCourse,
    PushCourse,
    first_run,
)
from ocrrl.rollouts.state_trace import StateTrace

PRE_ROTATED = float(np.deg2rad(10.0))
"""[rad] by which the hand has turned an object before the fingers close on it."""
MISALIGNED = 0.01
"""[m] of the gripper frame from the grasp point, across the approach, when the fingers begin to close."""
CORRECTED = 0.005
"""[m] by which the hand then moves towards the grasp point until it has the object."""
CLOSED_OPENING = 0.006
"""[m] that a drawer is out, of where it ends, from which its push is over."""
STANDS_STILL = 2e-4
"""[m] a control step; a drawer that slides less is not being pushed."""
PAUSE_STEPS = 5
"""Control steps in a row for which a drawer stands still that break a sustained push."""


class EmergentBehaviour(StrEnum):
    """The value is what tables say. All but the last are A.9's; that one's name is ours."""

    PRE_ROTATION = "pre-rotation"
    """The object was turned before the fingers closed on it."""
    CORRECTIVE_PUSH = "corrective push"
    """The fingers began to close beside the grasp point, and the hand moved towards it while they closed."""
    SUSTAINED_PUSH = "sustained push"
    """The drawer did not stand still from the first push until it was closed."""
    SECOND_ATTEMPT = "second attempt"
    """The fingers closed on nothing, or the object was lost, before the hand got it (again)."""


def behaviours(trace: StateTrace, handled: Graspable | Pushable) -> set[EmergentBehaviour]:
    """What an episode that succeeded shows."""
    if isinstance(handled, Pushable):
        return {EmergentBehaviour.SUSTAINED_PUSH} if _sustained(PushCourse(trace, handled)) else set()
    course = GraspCourse(trace, handled)
    grasped = course.grasps()
    if grasped is None:
        return set()
    closing = _began_to_close(course, grasped)
    shown = {
        EmergentBehaviour.PRE_ROTATION: _turned(trace, closing) > PRE_ROTATED,
        EmergentBehaviour.CORRECTIVE_PUSH: _pushed_towards(trace, course, closing, grasped),
        EmergentBehaviour.SECOND_ATTEMPT: _again(course, grasped),
    }
    return {behaviour for behaviour, seen in shown.items() if seen}


def _began_to_close(course: GraspCourse, grasped: int) -> int:
    """The first step of the closing that led to the grasp."""
    opened = np.flatnonzero(~course.closing[: grasped + 1])
    return min(int(opened[-1]) + 1, grasped) if len(opened) else 0


def _turned(trace: StateTrace, step: int) -> float:
    first, then = trace.object_poses[[0, step], 0, 3:].astype(float)
    return float(np.linalg.norm(rotations.turn_between(first, then)))


def _pushed_towards(trace: StateTrace, course: GraspCourse, closing: int, grasped: int) -> bool:
    if course.side[closing] < MISALIGNED:
        return False
    across = course.grasp_point[closing] * (1.0, 1.0, 0.0)
    towards = rotations.rotate(trace.gripper_pose[closing, 3:].astype(float), across / np.linalg.norm(across))
    moved = trace.gripper_pose[grasped, :3].astype(float) - trace.gripper_pose[closing, :3]
    return bool(moved @ towards > CORRECTED)


def _again(course: GraspCourse, grasped: int) -> bool:
    missed = course.misses()
    if missed is not None and missed < grasped:
        return True
    lost = first_run(~course.between, HELD_STEPS, grasped)
    return lost is not None and first_run(course.has, HELD_STEPS, lost) is not None


def _sustained(course: PushCourse) -> bool:
    slides = course.slides()
    if slides is None:
        return False
    over = first_run(course.opening < course.opening.min() + CLOSED_OPENING, 1)
    slid = -np.diff(course.opening[slides:over])
    return first_run(slid < STANDS_STILL, PAUSE_STEPS) is None
