from dataclasses import replace

import h5py
import numpy as np
import pytest

from ocrrl.episodes.episode_store import OPTIONAL_ARRAYS, EpisodeWriter, episode_paths, read_episode, write_episode
from tests.episodes.toy_episodes import assert_same_episode, random_episode


def test_an_episode_reads_back_as_it_was_written(tmp_path):
    episode = replace(random_episode(), object_visible=np.ones((12, 1)))
    write_episode(tmp_path / "e.h5", episode)
    assert_same_episode(read_episode(tmp_path / "e.h5"), episode)


def test_what_an_episode_lacks_stays_absent(tmp_path):
    episode = random_episode()
    for name in OPTIONAL_ARRAYS:
        setattr(episode, name, None)
    write_episode(tmp_path / "e.h5", episode)
    assert_same_episode(read_episode(tmp_path / "e.h5"), episode)
    assert read_episode(tmp_path / "e.h5").observation().object_poses.shape == (12, 0, 7)


def test_the_same_episode_gives_the_same_bytes(tmp_path):
    for name in ("a.h5", "b.h5"):
        write_episode(tmp_path / name, random_episode())
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


@pytest.mark.parametrize("compress", [True, False])
def test_recording_step_by_step_gives_the_same_episode(tmp_path, compress):
    episode = random_episode()
    writer = EpisodeWriter(tmp_path / "e.h5", compress)
    rows = {name: value for name, value in vars(episode).items() if isinstance(value, np.ndarray)}
    for step in range(len(episode)):
        images = {camera: frames[step] for camera, frames in episode.images.items()}
        writer.append(images, **{name: value[step] for name, value in rows.items()})
    writer.finish(episode.attributes)
    assert_same_episode(read_episode(tmp_path / "e.h5"), episode)


def test_an_unfinished_recording_is_no_episode_and_spoils_no_other(tmp_path):
    write_episode(tmp_path / "e0.h5", random_episode())
    writer = EpisodeWriter(tmp_path / "e1.h5")
    writer.append({"front": np.zeros((12, 16, 3), np.uint8)}, action=np.zeros(7))
    assert episode_paths(tmp_path) == [tmp_path / "e0.h5"]
    writer.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["e0.h5"]


def test_what_was_recorded_so_far_can_be_read_without_the_writer(tmp_path):
    writer = EpisodeWriter(tmp_path / "e.h5", compress=False)
    for step in range(25):
        writer.append(
            {"front": np.full((12, 16, 3), step, np.uint8)}, action=np.full(7, step), timestamps=np.asarray(step)
        )
    copy = tmp_path / "copy"
    copy.write_bytes((tmp_path / ".e.h5.partial").read_bytes())  # as a killed process leaves it
    with h5py.File(copy) as file:
        assert len(file["action"]) == len(file["timestamps"]) == 21
        np.testing.assert_array_equal(file["images/front"][20], 20)
    writer.abandon()
    assert [path.name for path in tmp_path.glob(".*")] == [".e.h5.partial"]


def test_an_episode_can_be_given_its_name_at_the_end(tmp_path):
    episode = random_episode()
    writer = EpisodeWriter(tmp_path / "e.h5")
    writer.append_images(episode.images)
    arrays = {name: value for name, value in vars(episode).items() if isinstance(value, np.ndarray)}
    writer.finish(episode.attributes, arrays, tmp_path / "failures" / "e.h5")
    assert_same_episode(read_episode(tmp_path / "failures" / "e.h5"), episode)
    assert episode_paths(tmp_path) == [tmp_path / "failures" / "e.h5"]


def test_a_failed_write_leaves_the_old_episode(tmp_path):
    write_episode(tmp_path / "e.h5", random_episode())
    before = (tmp_path / "e.h5").read_bytes()
    broken = random_episode(seed=1)
    broken.action = np.array(["not a number"])
    with pytest.raises(ValueError):
        write_episode(tmp_path / "e.h5", broken)
    assert (tmp_path / "e.h5").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["e.h5"]


def test_images_other_than_bytes_are_refused(tmp_path):
    writer = EpisodeWriter(tmp_path / "e.h5")
    with pytest.raises(ValueError, match="images of front must be uint8, got float64"):
        writer.append({"front": np.zeros((12, 16, 3))}, action=np.zeros(7))


def test_episodes_are_found_in_order_below_the_folder(tmp_path):
    for name in ("b/e1.hdf5", "a/e0.h5", ".hidden/e.h5", "a/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert episode_paths(tmp_path) == [tmp_path / "a/e0.h5", tmp_path / "b/e1.hdf5"]
