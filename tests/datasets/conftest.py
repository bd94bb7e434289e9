"""One small LeRobotDataset for all tests that read one; importing LeRobot costs 11 s, so one test does."""

import pytest

from ocrrl.datasets.lerobot_writer import write_lerobot_dataset
from tests.episodes.toy_episodes import demonstrated


@pytest.fixture(scope="session")
def toy_dataset(tmp_path_factory):
    """The dataset's folder and the episodes in it."""
    episodes = [(f"episode_{k:06d}.h5", episode) for k, episode in enumerate(demonstrated([3, 4, 5], image_size=32))]
    root = tmp_path_factory.mktemp("datasets") / "real"
    write_lerobot_dataset(episodes, root)
    return root, episodes
