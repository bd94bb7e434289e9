import numpy as np
import pytest

from ocrrl.datasets.frames.decoded_frames import decode_dataset, join_datasets
from ocrrl.policies.lerobot_training.datasets import chosen_episodes, one_dataset
from tests.policies.lerobot_dots import write_dots


@pytest.fixture
def parts(tmp_path):
    return [write_dots(tmp_path / "three", episodes=3), write_dots(tmp_path / "two", episodes=2, length=15)]


def test_datasets_are_joined_frame_by_frame_and_only_once(parts, tmp_path):
    joined = one_dataset(parts, tmp_path / "joined")
    ours, theirs = join_datasets([decode_dataset(part) for part in parts]), decode_dataset(joined)
    for name in ("state", "action", "episode_index", "timestamp"):
        np.testing.assert_allclose(getattr(theirs, name), getattr(ours, name))
    assert theirs.tasks == ours.tasks
    for camera in ours.images:
        np.testing.assert_array_equal(theirs.images[camera][:], ours.images[camera][:])
    written = (joined / "meta/info.json").stat().st_mtime_ns
    assert one_dataset(parts, tmp_path / "joined") == joined
    assert (joined / "meta/info.json").stat().st_mtime_ns == written


def test_one_dataset_is_read_where_it_lies(parts, tmp_path):
    assert one_dataset(parts[:1], tmp_path / "joined") == parts[0] and not (tmp_path / "joined").exists()


def test_datasets_of_other_image_sizes_are_not_joined(parts, tmp_path):
    large = write_dots(tmp_path / "large", size=64)
    with pytest.raises(ValueError, match=r"datasets .*three, .*large must have the same features"):
        one_dataset([parts[0], large], tmp_path / "joined")
    assert not (tmp_path / "joined").exists()


def test_episodes_are_chosen_by_name_across_datasets(parts):
    three, two = parts
    assert chosen_episodes([(three, None), (two, None)]) is None
    assert chosen_episodes([(three, ["2.hdf5", "0.hdf5"])]) == [0, 2]
    assert chosen_episodes([(three, ["1.hdf5"]), (two, None)]) == [1, 3, 4]
    assert chosen_episodes([(three, None), (two, ["1.hdf5"])]) == [0, 1, 2, 4]
