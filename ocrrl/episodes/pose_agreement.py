"""Distance between two records of one pose, and the constant transform between them.

Legend: T rows; poses (T, 7) and transforms (7,) are position [m] and wxyz unit quaternion; `apart` as `Apart` says.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ocrrl.interface import rotations

IDENTITY = np.array([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
MOST = 0.9
"""The share of rows that must be within the wide tolerances; the others may be off (a lost sample, a fast moment)."""

Poses = Float[np.ndarray, "T 7"]
Transform = Float[np.ndarray, " 7"]


@dataclass(frozen=True)
class Apart:
    """Distances of poses from others, row by row: the median, and what `MOST` of the rows stay below."""

    position: float
    """[m]"""
    position_most: float
    rotation: float
    """[rad]"""
    rotation_most: float


def between(poses: Poses, others: Poses) -> tuple[Float[np.ndarray, " T"], Float[np.ndarray, " T"]]:
    """Distances [m] and angles [rad], row by row."""
    distance = np.linalg.norm(poses[:, :3] - others[:, :3], axis=-1)
    return distance, rotations.angle_between(poses[:, 3:], others[:, 3:])


def apart(poses: Poses, others: Poses) -> Apart:
    """How far `poses` lie from `others`."""
    return Apart(*(float(np.quantile(off, share)) for off in between(poses, others) for share in (0.5, MOST)))


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The transform a after b (..., 7)."""
    a, b = np.broadcast_arrays(a, b)
    position = a[..., :3] + rotations.rotate(a[..., 3:], b[..., :3])
    return np.concatenate([position, rotations.multiply(a[..., 3:], b[..., 3:])], axis=-1)


def inverse(pose: np.ndarray) -> np.ndarray:
    """The transform back (..., 7)."""
    back = rotations.conjugate(pose[..., 3:])
    return np.concatenate([-rotations.rotate(back, pose[..., :3]), back], axis=-1)


def mean_rotation(quaternions: Float[np.ndarray, "T 4"]) -> Float[np.ndarray, " 4"]:
    """The rotation nearest to all (Markley et al. 2007), found again without the tenth that lies furthest from it."""
    for kept in (1.0, MOST):
        outer = np.einsum("ti,tj->ij", quaternions, quaternions)
        mean = np.linalg.eigh(outer)[1][:, -1]
        off = rotations.angle_between(quaternions, mean)
        quaternions = quaternions[off <= np.quantile(off, kept)]
    return mean * (1.0 if mean[0] >= 0 else -1.0)


def on_the_right(poses: Poses, joints: Poses) -> Transform:
    """The constant R of poses = joints R: a tool in the gripper's frame."""
    offsets = product(inverse(joints), poses)
    return np.concatenate([np.median(offsets[:, :3], axis=0), mean_rotation(offsets[:, 3:])])


def on_the_left(poses: Poses, joints: Poses) -> Transform:
    """The constant L of poses = L joints: the base in the world of the poses."""
    turn = mean_rotation(rotations.multiply(poses[:, 3:], rotations.conjugate(joints[:, 3:])))
    turned = rotations.rotate(np.broadcast_to(turn, (len(joints), 4)), joints[:, :3])
    return np.concatenate([np.median(poses[:, :3] - turned, axis=0), turn])


def on_both_sides(poses: Poses, joints: Poses, left_turn: Float[np.ndarray, " 4"]) -> tuple[Transform, Transform]:
    """The constants L and R of poses = L joints R, where L turns by `left_turn`: the positions by least squares."""
    turned = product(np.concatenate([np.zeros(3), left_turn]), joints)
    right_turn = mean_rotation(rotations.multiply(rotations.conjugate(turned[:, 3:]), poses[:, 3:]))
    matrices = rotations.to_matrix(turned[:, 3:])
    unknowns = np.concatenate([np.broadcast_to(np.eye(3), matrices.shape), matrices], axis=-1).reshape(-1, 6)
    offsets = np.linalg.lstsq(unknowns, (poses[:, :3] - turned[:, :3]).reshape(-1), rcond=1e-3)[0]
    return np.concatenate([offsets[:3], left_turn]), np.concatenate([offsets[3:], right_turn])
