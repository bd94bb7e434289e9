import json
import logging
import os
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from ocrrl.datasets.frames.decoded_frames import decode_dataset, select_episodes
from ocrrl.datasets.lerobot_writer import write_lerobot_dataset
from ocrrl.datasets.sidecar import read_sidecar
from ocrrl.interface.actions import ACTION_NAMES
from tests.episodes.toy_episodes import contents, demonstrated, random_episode


def rows_of(episodes):
    return np.concatenate([np.full(len(episode), k) for k, (_, episode) in enumerate(episodes)])


def test_state_action_and_order_come_back(toy_dataset):
    root, episodes = toy_dataset
    dataset = decode_dataset(root)
    np.testing.assert_array_equal(dataset.episode_index, rows_of(episodes))
    np.testing.assert_array_equal(
        dataset.action, np.concatenate([episode.action for _, episode in episodes]).astype(np.float32)
    )
    np.testing.assert_array_equal(
        dataset.state, np.concatenate([episode.observation().proprioception() for _, episode in episodes])
    )
    assert dataset.tasks == ("grasp the wooden cuboid and lift it",) * 3
    assert dataset.names["action"] == list(ACTION_NAMES)


def test_images_come_back_almost_as_they_were(toy_dataset):
    root, episodes = toy_dataset
    dataset = decode_dataset(root)
    for camera, frames in dataset.images.items():
        original = np.concatenate([episode.images[camera] for _, episode in episodes]).astype(int)
        assert np.abs(frames - original).mean() < 2.0


def test_only_what_both_worlds_share_is_a_feature(toy_dataset):
    features = json.loads((toy_dataset[0] / "meta/info.json").read_text())["features"]
    inputs = {key for key in features if key.startswith(("observation", "action"))}
    assert inputs == {"observation.images.front", "observation.images.wrist", "observation.state", "action"}


def test_the_same_episodes_give_the_same_bytes(toy_dataset, tmp_path):
    root, episodes = toy_dataset
    write_lerobot_dataset(episodes, tmp_path / "again")
    assert contents(tmp_path / "again") == contents(root)


def test_the_same_bytes_in_another_process(toy_dataset, tmp_path):
    code = (
        "import sys; from pathlib import Path; from tests.episodes.toy_episodes import demonstrated\n"
        "from ocrrl.datasets.lerobot_writer import write_lerobot_dataset\n"
        "episodes = [(f'episode_{k:06d}.h5', e) for k, e in enumerate(demonstrated([3, 4, 5], image_size=32))]\n"
        "write_lerobot_dataset(episodes, Path(sys.argv[1]))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "123"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "other")], check=True, env=environment)
    assert contents(tmp_path / "other") == contents(toy_dataset[0])


def test_the_sidecar_holds_what_lerobot_cannot(toy_dataset):
    root, episodes = toy_dataset
    entries = read_sidecar(root)
    assert [entry.source for entry in entries] == [source for source, _ in episodes]
    assert [(entry.cell, entry.kind, entry.seed, entry.length) for entry in entries] == [
        ("twin", "demonstration", seed, len(episode)) for seed, (_, episode) in zip((3, 4, 5), episodes, strict=True)
    ]
    rows = np.load(root / "sidecar/object_poses.npz", allow_pickle=False)
    poses = np.concatenate([episode.object_poses for _, episode in episodes])
    np.testing.assert_array_equal(rows["object_poses"], poses.astype(np.float32))
    assert np.isnan(rows["residual"]).all() and rows["residual"].shape == (len(poses), 7)


def test_episodes_are_selected_by_source(toy_dataset):
    root, _ = toy_dataset
    whole = decode_dataset(root)
    chosen = select_episodes(whole, root, ["episode_000002.h5", "episode_000000.h5"])
    assert chosen.tasks == whole.tasks[:2] and set(chosen.episode_index) == {0, 1}
    np.testing.assert_array_equal(chosen.action[chosen.rows_of(1)], whole.action[whole.rows_of(2)])
    with pytest.raises(ValueError, match=r"real must hold the episodes nobody.h5, got episode_000000.h5"):
        select_episodes(whole, root, ["nobody.h5"])


def test_a_few_episodes_can_be_read_alone(toy_dataset):
    root, _ = toy_dataset
    whole = decode_dataset(root)
    last = decode_dataset(root, [2])
    for camera, frames in last.images.items():
        np.testing.assert_array_equal(frames, whole.images[camera][whole.rows_of(2)])
    np.testing.assert_array_equal(last.action, whole.action[whole.rows_of(2)])
    assert set(last.episode_index) == {0} and last.tasks == whole.tasks[2:]


def test_cameras_must_agree_and_a_failure_leaves_the_old_dataset(toy_dataset, tmp_path):
    write_lerobot_dataset(toy_dataset[1][:1], tmp_path / "real")
    before = contents(tmp_path / "real")
    with pytest.raises(ValueError, match=r"odd.h5: images must be .*\(32, 32, 3\).* like the first episode's"):
        write_lerobot_dataset([*toy_dataset[1][:1], ("odd.h5", random_episode())], tmp_path / "real")
    with pytest.raises(ValueError, match=r"real must hold at least one episode, got none"):
        write_lerobot_dataset([], tmp_path / "real")
    assert contents(tmp_path / "real") == before


def test_a_video_that_lost_frames_is_noticed(tmp_path):
    episode = demonstrated([3])[0]
    write_lerobot_dataset([("e.h5", episode)], tmp_path / "real")
    episode.images["front"] = episode.images["front"][:-4]
    write_lerobot_dataset([("e.h5", episode)], tmp_path / "short")
    with pytest.raises(ValueError, match=r"short: observation.images.front must hold \d+ frames, got \d+"):
        decode_dataset(tmp_path / "short")


def test_lerobot_reads_it_and_we_read_lerobots(toy_dataset, tmp_path, monkeypatch):
    """The same frames by LeRobot's own reader; and the files are those that LeRobot's own writer makes."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    logging.disable(logging.WARNING)
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    root, episodes = toy_dataset
    ours = decode_dataset(root)
    chunk = {"action": [k / 20 for k in range(16)]}
    dataset = LeRobotDataset("ocrrl/toy", root=root, video_backend="pyav", return_uint8=True, delta_timestamps=chunk)
    assert (dataset.num_episodes, len(dataset)) == (3, len(ours.action))
    for row in (0, len(episodes[0][1]) - 1, len(episodes[0][1]), len(dataset) - 1):
        frame = dataset[row]
        for camera, frames in ours.images.items():
            pixels = frame[f"observation.images.{camera}"].permute(1, 2, 0).numpy()
            np.testing.assert_array_equal(pixels, frames[row])
        np.testing.assert_array_equal(frame["observation.state"].numpy(), ours.state[row])
        np.testing.assert_array_equal(frame["action"][0].numpy(), ours.action[row])
        assert frame["task"] == ours.tasks[ours.episode_index[row]]
    assert dataset[len(dataset) - 1]["action_is_pad"].sum() == 15

    theirs = LeRobotDataset.create(
        "ocrrl/theirs", fps=20, features=_features(root), root=tmp_path / "theirs", robot_type="fr3"
    )
    for _, episode in episodes[:2]:
        state, action = episode.observation().proprioception(), episode.action.astype(np.float32)
        for row in range(len(episode)):
            frame = {f"observation.images.{camera}": frames[row] for camera, frames in episode.images.items()}
            frame |= {"observation.state": state[row], "action": action[row]}
            theirs.add_frame(frame | {"task": episode.attributes.instruction})
        theirs.save_episode(parallel_encoding=False)
    theirs.finalize()
    logging.disable(logging.NOTSET)
    _assert_same_layout(root, tmp_path / "theirs")
    read = decode_dataset(tmp_path / "theirs")
    np.testing.assert_array_equal(read.action, ours.action[ours.episode_index < 2])
    np.testing.assert_array_equal(read.state, ours.state[ours.episode_index < 2])
    difference = np.abs(read.images["front"].astype(int) - ours.images["front"][ours.episode_index < 2])
    assert difference.mean() < 5.0


def _features(root):
    features = json.loads((root / "meta/info.json").read_text())["features"]
    chosen = {key: feature for key, feature in features.items() if key.startswith(("observation", "action"))}
    return {key: {name: feature[name] for name in ("dtype", "shape", "names")} for key, feature in chosen.items()}


def _assert_same_layout(ours, theirs):
    """The same keys in info.json and stats.json, the same columns and types in the tables."""
    left, right = (json.loads((root / "meta/info.json").read_text()) for root in (ours, theirs))
    assert list(left) == list(right)
    assert list(left["features"]) == list(right["features"])
    for key, feature in left["features"].items():
        assert set(feature.get("info", {})) == set(right["features"][key].get("info", {}))
    left, right = (json.loads((root / "meta/stats.json").read_text()) for root in (ours, theirs))
    assert set(left) == set(right)
    for key in left:
        for name in right[key]:
            assert np.shape(left[key][name]) == np.shape(right[key][name])
    for name in ("data/chunk-000/file-000.parquet", "meta/episodes/chunk-000/file-000.parquet"):
        left, right = (pq.read_schema(root / name) for root in (ours, theirs))
        assert {field.name: field.type for field in left} == {field.name: field.type for field in right}
