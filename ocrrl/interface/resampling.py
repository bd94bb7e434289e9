"""Rows between rows: numbers and poses at other times.

Legend: T rows, R resampled rows, `...` leading axes; a pose is position [m] and wxyz quaternion.
"""

import numpy as np
from jaxtyping import Float

from ocrrl.interface import rotations


def interpolate(values: Float[np.ndarray, "... T d"], at: Float[np.ndarray, " R"]) -> Float[np.ndarray, "... R d"]:
    """`values` at the (fractional) rows `at`, linearly."""
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, values.shape[-2] - 1)
    share = (at - low)[:, None]
    return (1 - share) * values[..., low, :] + share * values[..., high, :]


def interpolate_poses(poses: Float[np.ndarray, "... T 7"], at: Float[np.ndarray, " R"]) -> Float[np.ndarray, "... R 7"]:
    """Poses at the (fractional) rows `at`: positions linearly, rotations along the shortest arc."""
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, poses.shape[-2] - 1)
    start, end = poses[..., low, 3:], poses[..., high, 3:]
    turn = rotations.turn_between(start, rotations.nearest_sign(end, start))
    quaternion = rotations.multiply(rotations.from_rotation_vector((at - low)[:, None] * turn), start)
    return np.concatenate([interpolate(poses[..., :3], at), rotations.normalise(quaternion)], axis=-1)
