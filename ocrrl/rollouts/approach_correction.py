"""What the residual adds on the way to the object (Table 6, "residual fix"), summed over the steps of an approach."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ocrrl.interface import rotations
from ocrrl.interface.handled_object import Graspable, Pushable
from ocrrl.rollouts.failure_modes import GraspCourse, PushCourse
from ocrrl.rollouts.state_trace import StateTrace

NEAR = 0.10
"""[m] of the gripper frame from the grasp point, or from the face's middle, within which steps count."""


@dataclass(frozen=True)
class ApproachCorrection:
    """Sums of the residual's translations [m] until the hand has the object, or has pushed the drawer."""

    ahead: float
    """Along the approach: the gripper's own, mostly down; into the cabinet for a drawer."""
    aside: float
    """Across the approach, towards the grasp point or the face's middle; negative away from it."""


def approach_correction(trace: StateTrace, handled: Graspable | Pushable) -> ApproachCorrection:
    """Of one episode; zero where no residual ran."""
    if isinstance(handled, Pushable):
        push = PushCourse(trace, handled)
        frame, ahead = trace.object_poses[:, 0, 3:], -np.asarray(handled.opening_axis, float)
        goal, until = -push.offset, push.slides()
    else:
        grasp = GraspCourse(trace, handled)
        frame, ahead = trace.gripper_pose[:, 3:], np.array([0.0, 0.0, 1.0])
        goal, until = grasp.grasp_point, grasp.grasps()
    added = rotations.rotate(rotations.conjugate(frame.astype(float)), trace.residual[:, :3].astype(float))
    counted = (np.linalg.norm(goal, axis=-1) < NEAR) & (
        np.arange(len(trace)) < (len(trace) if until is None else until)
    )
    across = goal - (goal @ ahead)[:, None] * ahead
    aside = (added * _unit(across)).sum(-1)
    return ApproachCorrection(float((added @ ahead)[counted].sum()), float(aside[counted].sum()))


def _unit(vectors: Float[np.ndarray, "T 3"]) -> Float[np.ndarray, "T 3"]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
