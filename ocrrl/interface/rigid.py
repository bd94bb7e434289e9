"""Rigid transforms (..., 7): position [m], then wxyz; `a_in_b` maps points of frame a to frame b."""

import numpy as np

from ocrrl.interface import rotations

Numbers = tuple[float, ...]
NOWHERE: Numbers = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
QUATERNION_TOLERANCE = 1e-3
"""By which the length of a recorded or declared quaternion may differ from 1."""


def compose(b_in_c: np.ndarray, a_in_b: np.ndarray) -> np.ndarray:
    """`a_in_c` (..., 7)."""
    position = b_in_c[..., :3] + rotations.rotate(b_in_c[..., 3:], a_in_b[..., :3])
    quaternion = rotations.multiply(b_in_c[..., 3:], a_in_b[..., 3:])
    return np.concatenate([position, rotations.normalise(quaternion)], axis=-1)


def inverse(a_in_b: np.ndarray) -> np.ndarray:
    """`b_in_a` (..., 7)."""
    turned_back = rotations.conjugate(a_in_b[..., 3:])
    return np.concatenate([-rotations.rotate(turned_back, a_in_b[..., :3]), turned_back], axis=-1)


def apply(a_in_b: np.ndarray, points: np.ndarray) -> np.ndarray:
    """`points` (N, 3) of frame a in frame b; one pose (7,) for all, or a pose (N, 7) for each."""
    quaternion = np.broadcast_to(a_in_b[..., 3:], (len(points), 4))
    return a_in_b[..., :3] + rotations.rotate(quaternion, points)


def distance(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Between the poses `a` and `b` (7,): in position [m] and in rotation [rad]."""
    return float(np.linalg.norm(a[:3] - b[:3])), float(rotations.angle_between(a[3:], b[3:]))


def check_pose(name: str, pose: Numbers) -> None:
    """Raise ValueError unless `pose` is a position and a wxyz unit quaternion."""
    if len(pose) != 7:
        raise ValueError(
            f"{name} must be 7 numbers, a position [m] and a wxyz unit quaternion, got {len(pose)}: {list(pose)}"
        )
    if abs(np.linalg.norm(pose[3:]) - 1.0) > QUATERNION_TOLERANCE:
        raise ValueError(f"{name} must end in a wxyz unit quaternion, got {list(pose)}")
