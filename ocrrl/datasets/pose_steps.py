"""Recorded gripper poses to our actions: resampled to the control rate, then the step from each pose to the next.

Legend: T recorded rows, R resampled rows; poses are position [m] and wxyz quaternion, robot base frame.
"""

import numpy as np
from jaxtyping import Float, Int

from ocrrl.interface import rotations
from ocrrl.interface.actions import CONTROL_HZ, step_between


def resampled_rows(rows: int, recorded_hz: float) -> Float[np.ndarray, " R"]:
    """The (fractional) recorded rows at which `CONTROL_HZ` samples fall, from the first to at most the last."""
    last = (rows - 1) / recorded_hz
    return np.arange(int(np.floor(last * CONTROL_HZ + 1e-9)) + 1) * (recorded_hz / CONTROL_HZ)


def nearest_rows(at: Float[np.ndarray, " R"]) -> Int[np.ndarray, " R"]:
    """The recorded row nearest to each of `at`: for images and commands."""
    return np.floor(at + 0.5).astype(int)


def interpolate(values: Float[np.ndarray, "T d"], at: Float[np.ndarray, " R"]) -> Float[np.ndarray, "R d"]:
    """`values` between its rows, linearly."""
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, len(values) - 1)
    share = (at - low)[:, None]
    return (1 - share) * values[low] + share * values[high]


def interpolate_poses(poses: Float[np.ndarray, "T 7"], at: Float[np.ndarray, " R"]) -> Float[np.ndarray, "R 7"]:
    """Positions linearly, rotations along the shortest arc."""
    low = np.floor(at).astype(int)
    high = np.minimum(low + 1, len(poses) - 1)
    start, end = poses[low, 3:], rotations.nearest_sign(poses[high, 3:], poses[low, 3:])
    turn = rotations.turn_between(start, end)
    quaternion = rotations.multiply(rotations.from_rotation_vector((at - low)[:, None] * turn), start)
    return np.concatenate([interpolate(poses[:, :3], at), rotations.normalise(quaternion)], axis=-1)


def actions_from_poses(poses: Float[np.ndarray, "T 7"], opening: Float[np.ndarray, " T"]) -> Float[np.ndarray, "T 7"]:
    """The actions (T, 7) that step a command from each pose to the next, with the commanded gripper `opening` in [0,
    1].

    The last action stands still. Whether the steps are within the limits is for `episode_checks` to say.
    """
    following = np.concatenate([poses[1:], poses[-1:]])
    return np.concatenate([step_between(poses, following), opening[:, None]], axis=-1)
