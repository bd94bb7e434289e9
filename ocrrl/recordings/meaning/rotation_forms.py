"""Converts each form of recorded rotation to wxyz quaternions, and recorded poses to our frames.

Legend: T rows; a pose is position [m] and wxyz quaternion.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float

from ocrrl.episodes.episode_checks import EpisodeRejected, check_finite, check_unit_quaternions
from ocrrl.episodes.pose_agreement import inverse, product
from ocrrl.interface import rotations

MATRIX_TOLERANCE = 0.02
"""By which a rotation matrix's columns may differ from unit length and from right angles."""
LARGEST_ANGLE = 4 * np.pi
"""[rad] of a rotation vector or an Euler angle; beyond, it is in degrees or no angle."""
_SEQUENCES = ("xyz", "xzy", "yxz", "yzx", "zxy", "zyx", "xyx", "xzx", "yxy", "yzy", "zxz", "zyz")


def check_rotation_form(name: str, form: str) -> None:
    """Raise ValueError unless `form` is one of the forms."""
    if form not in _FORMS:
        plain = [known for known in _FORMS if not known.startswith("euler")]
        raise ValueError(
            f"{name} must be one of {', '.join(plain)}, euler_xyz and other orders (small letters: about the fixed "
            f"axes, one after the other; capitals: about the moving ones; with _degrees at the end: in degrees), got {form!r}"
        )


def rotation_width(form: str) -> int:
    """How many numbers a rotation has in `form`."""
    return _FORMS[form][0]


def forms_of_width(width: int) -> list[str]:
    """Every form of `width` numbers."""
    return [form for form, (numbers, _) in _FORMS.items() if numbers == width]


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
    quaternions = _FORMS[form][1](values)
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
    matrices = rotations.to_matrix(quaternions)
    if form == "matrix":
        rebuilt = matrices.reshape(-1, 9)
    elif form == "rotation_6d":
        rebuilt = matrices[:, :, :2].swapaxes(1, 2).reshape(-1, 6)
    else:
        rebuilt = matrices[:, :2, :].reshape(-1, 6)
    off = np.abs(rebuilt - values).max(axis=-1, initial=0)
    if len(off) and not off.max() <= MATRIX_TOLERANCE:
        step = int(np.nan_to_num(off, nan=np.inf).argmax())
        raise EpisodeRejected(
            field, f"of rotations for {form}: unit vectors at right angles", f"numbers that are none at step {step}"
        )


def _from_pair(numbers: np.ndarray, axis: int) -> np.ndarray:
    """Two columns, or rows, of a matrix (T, 6), one after the other, made orthonormal (Zhou et al. 2019, Eq. 15)."""
    first, second = numbers[:, :3], numbers[:, 3:]
    a = _unit(first)
    b = _unit(second - (a * second).sum(axis=-1, keepdims=True) * a)
    return rotations.from_matrix(np.stack([a, b, np.cross(a, b)], axis=axis))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _from_euler(order: str, unit: float, angles: np.ndarray) -> np.ndarray:
    """Angles (T, 3) about the axes of `order`, in that order: capitals turn with the body, small letters stay."""
    quaternion = np.broadcast_to([1.0, 0.0, 0.0, 0.0], (len(angles), 4))
    for axis, angle in zip(order, (unit * angles).T, strict=True):
        turn = np.zeros((len(angles), 4))
        turn[:, 0], turn[:, 1 + "xyz".index(axis.lower())] = np.cos(angle / 2), np.sin(angle / 2)
        quaternion = rotations.multiply(quaternion, turn) if axis.isupper() else rotations.multiply(turn, quaternion)
    return quaternion


_FORMS: dict[str, tuple[int, Callable[[np.ndarray], np.ndarray]]] = {
    "quaternion_wxyz": (4, np.asarray),
    "quaternion_xyzw": (4, lambda values: np.roll(values, 1, axis=-1)),
    "rotation_vector": (3, rotations.from_rotation_vector),
    "rotation_vector_degrees": (3, lambda values: rotations.from_rotation_vector(np.radians(values))),
    "rotation_6d": (6, partial(_from_pair, axis=-1)),
    "rotation_6d_rows": (6, partial(_from_pair, axis=-2)),  # as PyTorch3D's `matrix_to_rotation_6d` writes them
    "matrix": (9, lambda values: rotations.from_matrix(values.reshape(-1, 3, 3))),  # row after row
} | {
    f"euler_{order}{ending}": (3, partial(_from_euler, order, unit))
    for ending, unit in (("", 1.0), ("_degrees", np.pi / 180))
    for sequence in _SEQUENCES
    for order in (sequence, sequence.upper())
}

Numbers = tuple[float, ...]
NOWHERE: Numbers = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)


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
