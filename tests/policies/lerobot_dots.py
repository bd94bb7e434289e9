"""The synthetic dots as a LeRobotDataset on disk."""

from pathlib import Path

import numpy as np

from ocrrl.datasets.lerobot_writer import write_lerobot_dataset
from ocrrl.interface.episode import Episode, EpisodeAttributes
from tests.policies.synthetic import INSTRUCTION, dot_dataset


def write_dots(root: Path, episodes: int = 3, length: int = 20, size: int = 32) -> Path:
    """Write `dot_dataset` with the cameras front and wrist at `root`, as ingest does; returns it."""
    data = dot_dataset(episodes, length, size, ("front", "wrist"))
    pose = np.tile([0.5, 0.0, 0.1, 0.0, 1.0, 0.0, 0.0], (length, 1))
    attributes = EpisodeAttributes("cube_lift", INSTRUCTION, "scripted", "sim", success=True)
    recorded = []
    for episode in range(episodes):
        rows = data.rows_of(episode)
        pose = pose + 0.01 * data.state[rows, :1] * [1, 1, 1, 0, 0, 0, 0]
        recorded.append(
            (
                f"{episode}.hdf5",
                Episode(
                    attributes=attributes,
                    images={camera: images[rows] for camera, images in data.images.items()},
                    gripper_pose=pose,
                    commanded_pose=pose,
                    joint_positions=np.zeros((length, 7)),
                    gripper_width=np.full(length, 0.08),
                    action=data.action[rows],
                    timestamps=np.arange(length) / 20.0,
                ),
            )
        )
    write_lerobot_dataset(recorded, root)
    return root
