"""Converts recorded rotations to wxyz quaternions, after checks, and recorded poses to our frames.

Legend: T rows; a pose is position [m] and wxyz quaternion.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ocrrl.episodes.episode_checks import EpisodeRejected, check_finite, check_unit_quaternions
from ocrrl.episodes.pose_agreement import inverse, product
from ocrrl.interface import rotations
from ocrrl.interface.rigid import NOWHERE, Numbers
from ocrrl.interface.rotation_forms import from_form, in_form

MATRIX_TOLERANCE = 0.02
"""By which a rotation matrix's columns may differ from unit length and from right angles."""
LARGEST_ANGLE = 4 * np.pi
"""[rad] of a rotation vector or an Euler angle; beyond, it is in degrees or no angle."""


def to_quaternions(field: str, values: Float[np.ndarray, "T n"], form: str) -> Float[np.ndarray, "T 4"]:
    """The rotations `values` in `form` as unit quaternions wxyz.

    Raises `EpisodeRejected` for `field`: numbers that are not finite, quaternions or matrices that are no rotation,
    angles in degrees where radians are due.
    """
    check_finite(field, values)
    if form.startswith("quaternion"):
        check_unit_quaternions(field, values, form.removeprefix("quaternion_"))
    elif form.startswith(("rotation_vector", "euler")) and not form.endswith("_degrees"):
        _check_radians(field, values, form)
    quaternions = from_form(values, form)
    if form.startswith(("rotation_6d", "matrix")):
        _check_matrices(field, values, form, quaternions)
    return quaternions


def _check_radians(field: str, values: np.ndarray, form: str) -> None:
    largest = np.abs(values).max(axis=-1, initial=0)
    if len(largest) and largest.max() > LARGEST_ANGLE:
        step = int(largest.argmax())
        hint = f" (degrees? then rotation_form: {form}_degrees)" if form.startswith("euler") else " (degrees?)"
        raise EpisodeRejected(field, f"in radians for {form}", f"{largest[step]:.4g} at step {step}{hint}")


def _check_matrices(field: str, values: np.ndarray, form: str, quaternions: np.ndarray) -> None:
    """The numbers must be those of the rotation that they were made to."""
    rebuilt = in_form(quaternions, form)
    off = np.abs(rebuilt - values).max(axis=-1, initial=0)
    if len(off) and not off.max() <= MATRIX_TOLERANCE:
        step = int(np.nan_to_num(off, nan=np.inf).argmax())
        raise EpisodeRejected(
            field, f"of rotations for {form}: unit vectors at right angles", f"numbers that are none at step {step}"
        )


@dataclass(frozen=True)
class PoseDeclaration:
    """What a mapping declares of the recorded poses; the fields bear the mapping's names."""

    rotation_form: str
    rotation_inverse: bool = False
    position_scale: float = 1.0
    base_pose: Numbers = NOWHERE
    tool_in_gripper: Numbers = NOWHERE

    def gripper_poses(
        self, position: Float[np.ndarray, "T 3"], rotation: Float[np.ndarray, "T n"], field: str = "gripper_pose"
    ) -> Float[np.ndarray, "T 7"]:
        """Our gripper frame in the robot's base frame, of recorded tool poses; raises `EpisodeRejected`."""
        poses = self.recorded_poses(field, position, rotation)
        if self.tool_in_gripper != NOWHERE:
            poses = product(poses, inverse(np.array(self.tool_in_gripper)))
        return self._in_base(poses)

    def object_poses(
        self, name: str, numbers: Float[np.ndarray, "T n"], form: str | None = None
    ) -> Float[np.ndarray, "T 7"]:
        """An object's poses in the robot's base frame, of recorded positions and rotations in `form`."""
        field = f"object_poses.{name}"
        position = self.position_scale * numbers[:, :3]
        return self._in_base(
            np.concatenate([position, to_quaternions(field, numbers[:, 3:], form or self.rotation_form)], axis=-1)
        )

    def recorded_poses(self, field: str, position: np.ndarray, rotation: np.ndarray) -> np.ndarray:
        """The poses (T, 7) as they were recorded, in the recording's frames."""
        quaternions = to_quaternions(field, rotation, self.rotation_form)
        if self.rotation_inverse:
            quaternions = rotations.conjugate(quaternions)
        return np.concatenate([self.position_scale * position, quaternions], axis=-1)

    def _in_base(self, poses: np.ndarray) -> np.ndarray:
        if self.base_pose == NOWHERE:
            return poses
        base = np.array(self.base_pose)
        to_base = np.broadcast_to(rotations.conjugate(base[3:]), (len(poses), 4))
        position = rotations.rotate(to_base, poses[:, :3] - base[:3])
        return np.concatenate([position, rotations.multiply(to_base, poses[:, 3:])], axis=-1)
