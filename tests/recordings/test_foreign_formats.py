"""robomimic HDF5 and LeRobot datasets, made from our episodes, come back as those episodes."""

import json

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ocrrl.datasets.frames.decoded_frames import decode_dataset
from ocrrl.datasets.lerobot_writer import write_lerobot_dataset
from ocrrl.datasets.sidecar import read_sidecar
from ocrrl.episodes.episode_store import read_episode
from ocrrl.episodes.ingested import ingested_episodes
from ocrrl.interface import rotations
from ocrrl.recordings.ingest import ingest
from ocrrl.recordings.ingest_config import IngestConfig
from ocrrl.replay.replay import ReplayConfig, replay_episodes
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from tests.episodes.toy_environment import ToyEnvironment
from tests.episodes.toy_episodes import demonstrated

BASE = np.array([-0.56, 0.1, 0.912, *rotations.from_rotation_vector(np.array([0.0, 0.0, 0.3]))])
SCALE = (0.05, 0.05, 0.05, 0.5, 0.5, 0.5)
ROBOMIMIC = {
    "cell": "robosuite",
    "images": {"front": "agentview_image", "wrist": "robot0_eye_in_hand_image"},
    "object_poses": {"cuboid": "object[0:7]"},
    "base_pose": BASE.tolist(),
    "actions": "deltas",
    "action_scale": list(SCALE),
}
LEROBOT = {
    "cell": "lab",
    "images": {"front": "observation.images.front"},
    "position": "observation.state[x,y,z]",
    "rotation": "observation.state[3:7]",
    "rotation_form": "quaternion_wxyz",
    "gripper_width": "observation.state[gripper_width]",
    "gripper_command": "action[gripper]",
    "actions": "deltas",
    "steps": "action[0:6]",
}


def run(folder, out, source_format, mapping):
    config = IngestConfig(source_format=source_format, mapping=mapping)
    return ingest(folder, CUBE_LIFT, out / "real", out / "normalised", out / "report.json", config)


def in_world(poses):
    turned = np.broadcast_to(BASE[3:], (len(poses), 4))
    position = rotations.rotate(turned, poses[:, :3]) + BASE[:3]
    return position, np.roll(rotations.multiply(turned, poses[:, 3:]), -1, axis=-1)


def write_robomimic(path, episodes):
    with h5py.File(path, "w") as file:
        for k, episode in enumerate(episodes):
            demo = file.create_group(f"data/demo_{k}")
            position, quaternion = in_world(episode.gripper_pose)
            demo["obs/robot0_eef_pos"], demo["obs/robot0_eef_quat"] = position, quaternion
            demo["obs/robot0_joint_pos"] = episode.joint_positions
            half = 0.5 * episode.gripper_width
            demo["obs/robot0_gripper_qpos"] = np.stack([half, -half], axis=-1)
            demo["obs/object"] = np.concatenate([*in_world(episode.object_poses[:, 0]), position], axis=-1)
            demo["obs/agentview_image"] = episode.images["front"]
            demo["obs/robot0_eye_in_hand_image"] = episode.images["wrist"]
            gripper = 1.0 - 2.0 * episode.action[:, 6:]
            demo["actions"] = np.concatenate([episode.action[:, :6] / np.array(SCALE), gripper], axis=-1)


@pytest.fixture
def robomimic(tmp_path):
    episodes = demonstrated([3, 4])
    (tmp_path / "in").mkdir()
    write_robomimic(tmp_path / "in/lift.hdf5", episodes)
    return tmp_path / "in", episodes


def test_robomimic_demonstrations_come_back_as_our_episodes(robomimic, tmp_path):
    folder, episodes = robomimic
    summary = run(folder, tmp_path, "robomimic", ROBOMIMIC)
    assert summary.accepted == ("lift-demo_0.h5", "lift-demo_1.h5") and summary.exit_code == 0
    for source, episode in zip(summary.accepted, episodes, strict=True):
        read = read_episode(tmp_path / "normalised" / source)
        assert (read.attributes.cell, read.attributes.tabletop_task) == ("robosuite", "cube_lift")
        for name in ("action", "gripper_pose", "gripper_width", "object_poses", "joint_positions", "timestamps"):
            np.testing.assert_allclose(getattr(read, name), getattr(episode, name), atol=1e-9, err_msg=name)
        np.testing.assert_array_equal(read.images["wrist"], episode.images["wrist"])
    assert read_sidecar(tmp_path / "real")[0].has_object_poses


def test_robomimic_demonstrations_replay(robomimic, tmp_path):
    folder, _ = robomimic
    run(folder, tmp_path, "robomimic", ROBOMIMIC)
    episodes = list(ingested_episodes(folder, tmp_path / "normalised", tmp_path / "report.json"))
    outs = (tmp_path / "sim", tmp_path / "transitions.zarr", tmp_path / "accepted.json", tmp_path / "replay.json")
    summary = replay_episodes(episodes, ToyEnvironment(2), *outs, ReplayConfig())
    assert summary.kept == ("lift-demo_0.h5", "lift-demo_1.h5")


def test_actions_follow_from_poses_recorded_at_another_rate(robomimic, tmp_path):
    folder, episodes = robomimic
    mapping = ROBOMIMIC | {"actions": "from_poses", "control_hz": 10.0}
    run(folder, tmp_path, "robomimic", mapping)
    read = read_episode(tmp_path / "normalised/lift-demo_0.h5")
    np.testing.assert_allclose(read.gripper_pose[::2], episodes[0].gripper_pose, atol=1e-9)
    half = np.repeat(0.5 * np.diff(episodes[0].gripper_pose[:, :3], axis=0), 2, axis=0)
    np.testing.assert_allclose(read.action[:-1, :3], half, atol=1e-9)
    assert not read.action[-1, :6].any() and np.allclose(np.diff(read.timestamps), 0.05)


def test_steps_beyond_the_limit_are_refused_by_name(robomimic, tmp_path):
    folder, _ = robomimic
    with h5py.File(folder / "lift.hdf5", "a") as file:
        file["data/demo_1/actions"][2, 0] = 1.0
    summary = run(folder, tmp_path, "robomimic", ROBOMIMIC)
    assert summary.accepted == ("lift-demo_0.h5",)
    assert summary.rejected == {
        "lift.hdf5:demo_1": "action must be within the translation step limit of 0.02 m, got 0.05 m at step 2"
    }


def test_broken_robomimic_files_are_refused_by_name(robomimic, tmp_path):
    folder, _ = robomimic
    whole = (folder / "lift.hdf5").read_bytes()
    for name in ("lost key", "short", "linked", "nan", "tilted"):
        (folder / f"{name}.hdf5").write_bytes(whole)
    (folder / "truncated.hdf5").write_bytes(whole[:3000])
    with h5py.File(folder / "no data.hdf5", "w") as file:
        file["other"] = [1.0]
    with h5py.File(folder / "lost key.hdf5", "a") as file:
        del file["data/demo_0/obs/object"], file["data/demo_1"]
    with h5py.File(folder / "short.hdf5", "a") as file:
        images = file["data/demo_0/obs/agentview_image"][:-1]
        del file["data/demo_0/obs/agentview_image"], file["data/demo_1"]
        file["data/demo_0/obs/agentview_image"] = images
    with h5py.File(folder / "linked.hdf5", "a") as file:
        del file["data/demo_0/obs/object"], file["data/demo_1"]
        file["data/demo_0/obs/object"] = h5py.ExternalLink("/etc/hosts", "/")
    with h5py.File(folder / "nan.hdf5", "a") as file:
        del file["data/demo_1"]
        file["data/demo_0/obs/robot0_joint_pos"][3] = np.nan
    with h5py.File(folder / "tilted.hdf5", "a") as file:
        del file["data/demo_1"]
        file["data/demo_0/obs/robot0_eef_quat"][3] = 0.1
    summary = run(folder, tmp_path, "robomimic", ROBOMIMIC)
    assert summary.accepted == ("lift-demo_0.h5", "lift-demo_1.h5")
    reasons = {
        "truncated.hdf5": "file must be a complete HDF5 file",
        "no data.hdf5": "data must be there, got nothing",
        "lost key.hdf5:demo_0": "obs/object must be there, got nothing",
        "short.hdf5:demo_0": "images.front must be",
        "linked.hdf5:demo_0": "obs/object must be data in the file itself, got a link",
        "nan.hdf5:demo_0": "joint_positions must be finite, got nan at step 3",
        "tilted.hdf5:demo_0": "gripper_pose must be of unit quaternions (xyzw), got a norm of 0.2000 at step 3",
    }
    assert set(summary.rejected) == set(reasons)
    for source, reason in reasons.items():
        assert summary.rejected[source].startswith(reason), summary.rejected[source]


def test_a_lerobot_dataset_comes_back_as_our_episodes(tmp_path):
    episodes = demonstrated([3, 4])
    write_lerobot_dataset([(f"e{k}.h5", episode) for k, episode in enumerate(episodes)], tmp_path / "recorded")
    summary = run(tmp_path / "recorded", tmp_path, "lerobot", LEROBOT)
    assert summary.accepted == ("recorded-episode_000000.h5", "recorded-episode_000001.h5")
    for source, episode in zip(summary.accepted, episodes, strict=True):
        read = read_episode(tmp_path / "normalised" / source)
        for name in ("action", "gripper_pose", "gripper_width"):
            np.testing.assert_allclose(getattr(read, name), getattr(episode, name), atol=1e-6, err_msg=name)
        assert read.object_poses is None and read.attributes.instruction == CUBE_LIFT.instruction
        assert list(read.images) == ["front"]
    assert decode_dataset(tmp_path / "real").images["front"].shape[1:] == (16, 16, 3)


def test_declared_pose_columns_make_a_lerobot_dataset_replayable(tmp_path):
    episode = demonstrated([3])[0]
    write_lerobot_dataset([("e.h5", episode)], tmp_path / "recorded")
    add_column(tmp_path / "recorded", "cuboid_pose", episode.object_poses[:, 0])
    add_column(tmp_path / "recorded", "joints", episode.joint_positions)
    mapping = LEROBOT | {"object_poses": {"cuboid": "cuboid_pose"}, "joint_positions": "joints"}
    run(tmp_path / "recorded", tmp_path, "lerobot", mapping)
    episodes = list(ingested_episodes(tmp_path / "recorded", tmp_path / "normalised", tmp_path / "report.json"))
    outs = (tmp_path / "sim", tmp_path / "transitions.zarr", tmp_path / "accepted.json", tmp_path / "replay.json")
    assert replay_episodes(episodes, ToyEnvironment(1), *outs, ReplayConfig()).kept == ("recorded-episode_000000.h5",)


def add_column(root, name, values):
    path = root / "data/chunk-000/file-000.parquet"
    rows = pa.FixedSizeListArray.from_arrays(pa.array(values.astype(np.float32).ravel()), values.shape[1])
    pq.write_table(pq.read_table(path).append_column(name, rows), path)
    info = json.loads((root / "meta/info.json").read_text())
    info["features"][name] = {"dtype": "float32", "shape": [values.shape[1]], "names": None}
    (root / "meta/info.json").write_text(json.dumps(info))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"position": "observation.pose[0:3]"}, "observation.pose must be one of .*got nothing of that name"),
        (
            {"position": "observation.state[a,b,c]"},
            r"position must be in observation.state\[a\], got the names x, y, z",
        ),
        ({"position": "observation.state[6:9]"}, r"position must be in observation.state\[6:9\], got 8 numbers there"),
        ({"position": "observation.state"}, "position must be 3 numbers"),
        (
            {"images": {"front": "observation.images.top"}},
            "images.front must be one of observation.images.front, observation.images.wrist, got observation.images.top",
        ),
    ],
)
def test_a_mapping_that_does_not_fit_the_dataset_names_the_field(toy_dataset, tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        run(toy_dataset[0], tmp_path, "lerobot", LEROBOT | change)


def test_a_broken_lerobot_dataset_is_refused_by_name(tmp_path):
    for name in ("good", "video", "version", "outside"):
        write_lerobot_dataset([("e.h5", demonstrated([3])[0])], tmp_path / "in" / name)
    video = tmp_path / "in/video/videos/observation.images.front/chunk-000/file-000.mp4"
    video.write_bytes(video.read_bytes()[:400])
    for name, key, value in (("version", "codebase_version", "v2.1"), ("outside", "video_path", "../{video_key}.mp4")):
        info = json.loads((tmp_path / "in" / name / "meta/info.json").read_text())
        (tmp_path / "in" / name / "meta/info.json").write_text(json.dumps(info | {key: value}))
    summary = run(tmp_path / "in", tmp_path, "lerobot", LEROBOT)
    assert summary.accepted == ("good-episode_000000.h5",)
    assert set(summary.rejected) == {"video:0", "version", "outside:0"}
    assert "meta/episodes.jsonl: file must be there in a dataset of v2.1" in summary.rejected["version"]
    assert "video_path must be inside the dataset" in summary.rejected["outside:0"]


@pytest.mark.parametrize(
    ("source_format", "mapping", "change", "message"),
    [
        ("robomimic", ROBOMIMIC, {"quaternion_order": "zyxw"}, "quaternion_order must be one of xyzw, wxyz"),
        ("robomimic", ROBOMIMIC, {"control_hz": 10.0}, "control_hz must be 20 for actions: deltas"),
        ("robomimic", ROBOMIMIC, {"base_pose": [0, 0, 0, 1, 1, 0, 0]}, "base_pose must end in a wxyz unit quaternion"),
        ("robomimic", ROBOMIMIC, {"position": "eef[0:"}, r"position must be key, key\[3\], key\[0:3\]"),
        ("robomimic", ROBOMIMIC, {"images": {"../front": "x"}}, "images must map camera names"),
        ("robomimic", ROBOMIMIC, {"action_scale": [1.0]}, "action_scale must be 6 numbers above 0"),
        ("lerobot", LEROBOT, {"actions": "from_poses"}, "steps must be declared for actions: deltas and only then"),
        ("lerobot", LEROBOT, {"rotation_form": "euler"}, "rotation_form must be one of quaternion_wxyz"),
        ("lerobot", LEROBOT, {"gripper_open": 0.0}, "gripper_open must differ from gripper_closed"),
        (
            "lerobot",
            LEROBOT,
            {"object_poses": {"cuboid": "pose"}},
            "joint_positions must be declared where object_poses",
        ),
    ],
)
def test_a_mapping_out_of_range_is_refused(source_format, mapping, change, message):
    with pytest.raises(ValueError, match=message):
        IngestConfig(source_format=source_format, mapping=mapping | change)
