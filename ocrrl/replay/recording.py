"""What of a recording is replayed: from which object poses on, and which actions.

Legend: T control steps, O tracked objects; positions [m] and wxyz quaternions, robot base frame.
"""

import numpy as np
from jaxtyping import Float

from ocrrl.interface import rotations
from ocrrl.interface.actions import ROUNDING, applied_action, limit
from ocrrl.interface.episode import Episode

FOLLOWED = ("actions", "commands")
"""What was asked for; or the steps of the commanded pose, which are shorter where the leash of an arm that lags held it back."""
INITIAL_POSES = 5
"""Confident poses whose median is an object's initial pose."""
INITIAL_STEPS = 20
"""Steps among which they must be found, before anything is likely to have moved."""


def why_not_replayable(episode: Episode) -> str | None:
    """Why `episode` cannot be replayed, or None."""
    if episode.object_poses is None:
        return "must hold object poses to be replayed, got none (declare a pose mapping at ingest)"
    for k, name in enumerate(episode.attributes.object_names):
        if not episode.observation().visible()[:INITIAL_STEPS, k].any():
            return f"must hold a confident pose of {name} in its first {INITIAL_STEPS} steps, got none"
    return None


def initial_object_poses(episode: Episode) -> Float[np.ndarray, "O 7"]:
    """The median of each object's first `INITIAL_POSES` confident poses.

    Quaternions are brought to one sign, then their median is normalised.
    """
    observation = episode.observation()
    poses = []
    for k in range(observation.object_poses.shape[1]):
        confident = observation.visible()[:INITIAL_STEPS, k]
        first = observation.object_poses[:INITIAL_STEPS, k][confident][:INITIAL_POSES]
        quaternion = rotations.normalise(np.median(rotations.nearest_sign(first[:, 3:], first[0, 3:]), axis=0))
        poses.append(np.concatenate([np.median(first[:, :3], axis=0), quaternion]))
    return np.stack(poses)


def shifted_poses(
    poses: Float[np.ndarray, "O 7"], position: float, heading: float, generator: np.random.Generator
) -> Float[np.ndarray, "O 7"]:
    """`poses` moved on the table and turned about the vertical by a draw within `position` [m] and `heading` [rad]."""
    shifted, errors = poses.copy(), np.array([position, position, heading])
    for pose, (x, y, turn) in zip(shifted, generator.uniform(-errors, errors, (len(poses), 3)), strict=True):
        pose[:2] += x, y
        pose[3:] = rotations.multiply(rotations.from_rotation_vector(np.array([0.0, 0.0, turn])), pose[3:])
    return shifted


def followed_actions(episode: Episode, follow: str) -> Float[np.ndarray, "T 7"]:
    """What to do in the simulator; the recorded action's own bits where the command was not held back."""
    if follow == "actions":
        return episode.action
    rows = zip(episode.action, episode.commanded_pose, episode.commanded_pose[1:], strict=False)
    steps = [limit(applied_action(asked, pose, after, asked[6])) for asked, pose, after in rows]
    kept = np.stack([*steps, episode.action[-1]])
    differs = np.abs(kept - episode.action).max(axis=-1, keepdims=True) > ROUNDING
    return np.where(differs, kept, episode.action)
