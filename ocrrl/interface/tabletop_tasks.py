"""The contract of a tabletop task, shared by simulator and cell. `ocrrl/tabletop/<slug>.py` defines each."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ocrrl.interface import rotations
from ocrrl.interface.poses import NO_SYMMETRY, Symmetry

Vector3 = tuple[float, float, float]
HOME_JOINTS = (0.0, -0.185, 0.0, -2.497, 0.0, 2.312, 0.7854)
"""[rad]; gripper at (0.45, 0, 0.25) m, pointing down."""


@dataclass(frozen=True)
class TrackedObject:
    """An object whose pose the residual observes, with the rotations that leave it looking the same."""

    name: str
    symmetry: Symmetry = NO_SYMMETRY
    reference_quaternion: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    """Canonical poses start nearest to this one (wxyz, robot base frame)."""
    slide_axis: Vector3 | None = None
    """In the object's frame: it only slides along this axis, so that one number, the displacement, is tracked (A.10)."""


@dataclass(frozen=True)
class TabletopTask:
    """A tabletop task's contract: `horizon` is in control steps, `success_hold` the steps success must last."""

    slug: str
    instruction: str
    objects: tuple[TrackedObject, ...]
    horizon: int
    success_hold: int = 10
    home_joints: tuple[float, ...] = HOME_JOINTS
    """Where the arm starts [rad], clear of the objects."""

    def restrict_errors(
        self,
        quaternion: Float[np.ndarray, "*n O 4"],
        offset: Float[np.ndarray, "*n O 3"],
        turn: Float[np.ndarray, "*n O 3"],
    ) -> tuple[Float[np.ndarray, "*n O 3"], Float[np.ndarray, "*n O 3"]]:
        """Pose errors as tracking can make them: those of a sliding object lie along its slide.

        `offset` [m] in the base frame, `turn` a rotation vector [rad] in the object's own, of objects at `quaternion`.
        """
        for index, tracked in enumerate(self.objects):
            if tracked.slide_axis is not None:
                axis = rotations.rotate(quaternion[..., index, :], np.asarray(tracked.slide_axis))
                offset, turn = offset.copy(), turn.copy()
                offset[..., index, :] = (offset[..., index, :] * axis).sum(-1, keepdims=True) * axis
                turn[..., index, :] = 0.0
        return offset, turn
