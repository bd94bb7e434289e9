"""An FR3 that reaches down, closes, lifts and turns its hand: joints, the poses that follow, a gripper that obeys."""

import numpy as np

from ocrrl.interface.fr3_chain import FR3
from ocrrl.interface.tabletop_tasks import HOME_JOINTS
from ocrrl.recordings.meaning.episode_meaning import RawEpisode

ROWS = 60


def moving_joints(rows: int = ROWS, hz: float = 20.0) -> np.ndarray:
    """Joint positions (T, 7) [rad] within the step limits at `hz`."""
    t = np.arange(rows) / hz
    waves = [(0.25, 0.9), (0.15, 1.3), (0.2, 0.7), (0.15, 1.1), (0.25, 0.8), (0.2, 1.0), (0.3, 0.6)]
    return np.asarray(HOME_JOINTS) + np.stack([size * np.sin(rate * t) for size, rate in waves], axis=-1)


def moving_poses(rows: int = ROWS, hz: float = 20.0) -> np.ndarray:
    """Where the joints bring the gripper (T, 7)."""
    return FR3.gripper_pose(moving_joints(rows, hz))


def closing_command(rows: int = ROWS) -> np.ndarray:
    """1 open, then 0 closed, then 1 again (T,)."""
    command = np.ones(rows)
    command[rows // 3 : 2 * rows // 3] = 0.0
    return command


def closing_width(rows: int = ROWS) -> np.ndarray:
    """What the fingers make of it [m]: a little later, on something 3 cm wide."""
    late = np.concatenate([np.ones(2), closing_command(rows)])[:rows]
    return 0.03 + 0.05 * late


def raw_episode(rows: int = ROWS, hz: float = 20.0, **columns: np.ndarray) -> RawEpisode:
    """A sound recording with wxyz poses, metres, radians, 0 closed and 1 open; `columns` replace or join its own."""
    numbers = {
        "pose": moving_poses(rows, hz),
        "joints": moving_joints(rows, hz),
        "width": closing_width(rows)[:, None],
        "command": closing_command(rows)[:, None],
    } | columns
    images = {"front": np.zeros((rows, 8, 8, 3), np.uint8)}
    return RawEpisode(columns=numbers, names={}, images=images, instruction=None, fps=hz)
