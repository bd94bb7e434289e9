"""Rotations in the forms in which recordings and policies write them.

Legend: n rotations; quaternions (n, 4) are wxyz.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Float

from ocrrl.interface import rotations

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


def from_form(values: Float[np.ndarray, "n d"], form: str) -> Float[np.ndarray, "n 4"]:
    """The quaternions of the rotations `values` in `form`; numbers that are no rotation are not looked for."""
    return _FORMS[form][1](values)


def in_form(quaternions: Float[np.ndarray, "n 4"], form: str) -> Float[np.ndarray, "n d"]:
    """The unit `quaternions` in `form`; Euler angles that are not unique (gimbal lock) are one choice."""
    if form == "quaternion_wxyz":
        return quaternions
    if form == "quaternion_xyzw":
        return np.roll(quaternions, -1, axis=-1)
    if form.startswith("rotation_vector"):
        vectors = rotations.to_rotation_vector(quaternions)
        return np.degrees(vectors) if form.endswith("_degrees") else vectors
    if form.startswith("euler"):
        from scipy.spatial.transform import Rotation  # only where somebody wants Euler angles

        turns = Rotation.from_quat(np.roll(quaternions, -1, axis=-1))
        return turns.as_euler(form.split("_")[1], degrees=form.endswith("_degrees"))
    matrices = rotations.to_matrix(quaternions)
    if form == "matrix":
        return matrices.reshape(-1, 9)
    if form == "rotation_6d":
        return matrices[:, :, :2].swapaxes(1, 2).reshape(-1, 6)
    return matrices[:, :2, :].reshape(-1, 6)


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
