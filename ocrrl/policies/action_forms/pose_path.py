"""Paths of commanded gripper poses: from steps to a path and back, at another rate, and in another frame.

Legend: n robots, K steps; a path (n, K + 1, 7) begins with the pose that the first step leads from; poses are position [m] and
wxyz quaternion, robot base frame.
"""

import numpy as np
from jaxtyping import Float

from ocrrl.interface import rigid, rotations
from ocrrl.interface.actions import (
    MAX_ROTATION_STEP,
    MAX_TRANSLATION_STEP,
    ROUNDING,
    limit,
    step_between,
)
from ocrrl.interface.resampling import interpolate_poses

Path = Float[np.ndarray, "n _ 7"]
Steps = Float[np.ndarray, "n _ 6"]


def steps_along(path: Path) -> Steps:
    """The steps that lead along `path`: the differences of poses that follow each other.

    A step beyond the limits is made as far as they allow, the rest in the steps that follow.
    """
    steps = step_between(path[:, :-1], path[:, 1:])
    lengths = np.abs(steps[..., :3]).max(initial=0.0), np.linalg.norm(steps[..., 3:], axis=-1).max(initial=0.0)
    if lengths[0] <= MAX_TRANSLATION_STEP + ROUNDING and lengths[1] <= MAX_ROTATION_STEP + ROUNDING:
        return steps
    commanded = path[:, 0]
    for number in range(steps.shape[1]):
        step = step_between(commanded, path[:, number + 1])
        steps[:, number] = limit(np.concatenate([step, np.zeros((len(step), 1))], axis=-1))[:, :6]
        commanded = after(commanded, steps[:, number])
    return steps


def path_along(start: Float[np.ndarray, "n 7"], steps: Steps) -> Path:
    """The path from `start` on that `steps` make: `steps_along` undone."""
    path = [start]
    for number in range(steps.shape[1]):
        path.append(after(path[-1], steps[:, number]))
    return np.stack(path, axis=1)


def after(pose: Float[np.ndarray, "n 7"], step: Float[np.ndarray, "n 6"]) -> Float[np.ndarray, "n 7"]:
    """The pose that a step leads to, on no leash."""
    turned = rotations.multiply(rotations.from_rotation_vector(step[..., 3:]), pose[..., 3:])
    return np.concatenate([pose[..., :3] + step[..., :3], rotations.normalise(turned)], axis=-1)


def rows_at(rows: int, hz: float, other_hz: float) -> int:
    """How many rows at `other_hz` fall within `rows` at `hz`."""
    return int(np.floor(rows * other_hz / hz + 1e-9))


def resampled(path: Path, hz: float, other_hz: float) -> Path:
    """`path`, whose poses follow each other at `hz`, at `other_hz`: from the same pose on, to at most the last."""
    if hz == other_hz:
        return path
    at = np.arange(rows_at(path.shape[1] - 1, hz, other_hz) + 1) * (hz / other_hz)
    return interpolate_poses(path, np.minimum(at, path.shape[1] - 1))


def held(rows: Float[np.ndarray, "n K d"], hz: float, other_hz: float) -> Float[np.ndarray, "n L d"]:
    """`rows` at `hz`, each of which holds until the next one, at `other_hz`: the row in whose time the other's middle lies."""
    if hz == other_hz:
        return rows
    middles = (np.arange(rows_at(rows.shape[1], hz, other_hz)) + 0.5) * (hz / other_hz)
    return rows[:, np.minimum(middles.astype(int), rows.shape[1] - 1)]


def in_frame(poses: np.ndarray, base_pose: np.ndarray, tool_in_gripper: np.ndarray) -> np.ndarray:
    """Our gripper poses (..., 7) as the poses of the tool in the world in which the robot's base is at `base_pose`."""
    return rigid.compose(rigid.compose(_like(base_pose, poses), poses), _like(tool_in_gripper, poses))


def from_frame(poses: np.ndarray, base_pose: np.ndarray, tool_in_gripper: np.ndarray) -> np.ndarray:
    """`in_frame` undone."""
    in_base = rigid.compose(_like(rigid.inverse(base_pose), poses), poses)
    return rigid.compose(in_base, _like(rigid.inverse(tool_in_gripper), poses))


def _like(pose: np.ndarray, poses: np.ndarray) -> np.ndarray:
    return np.broadcast_to(pose, poses.shape)
