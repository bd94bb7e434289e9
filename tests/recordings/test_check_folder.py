"""`ocrrl ingest --check`: all that ingest would say, nothing written."""

import json

import h5py
import numpy as np
import pytest

from ocrrl.cli import main
from ocrrl.datasets.lerobot_writer import write_lerobot_dataset
from ocrrl.episodes.episode_store import write_episode
from ocrrl.recordings.check_folder import check_folder, kinds_in
from ocrrl.recordings.expendable import UnforeseenLog
from ocrrl.recordings.ingest_config import IngestConfig
from ocrrl.recordings.lerobot.lerobot_mapping import LeRobotMapping
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from tests.episodes.toy_episodes import contents, demonstrated
from tests.recordings.meaning.moving_arm import closing_command, closing_width, moving_joints, moving_poses

CAMERAS = {"front": (16, 16), "wrist": (16, 16)}


def checked(folder, config=None):
    return check_folder(folder, CUBE_LIFT, config or IngestConfig(), CAMERAS, UnforeseenLog(folder.parent / "log.txt"))


def write_robomimic(path, offset=(0.0, 0.0, 0.0), **arrays):
    """Two demonstrations of a moving FR3, poses about a base that stands at `offset`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pose, width, rng = moving_poses(), closing_width(), np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file.create_group("data").attrs["env_args"] = json.dumps({"env_kwargs": {"control_freq": 20}})
        for k in range(2):
            demo = file.create_group(f"data/demo_{k}")
            demo["obs/robot0_eef_pos"] = pose[:, :3] + offset
            demo["obs/robot0_eef_quat"] = np.roll(pose[:, 3:], -1, axis=-1)
            demo["obs/robot0_joint_pos"] = moving_joints()
            demo["obs/robot0_gripper_qpos"] = np.c_[width / 2, -width / 2]
            for name in ("agentview_image", "robot0_eye_in_hand_image"):
                demo[f"obs/{name}"] = rng.integers(20, 255, (len(pose), 16, 16, 3), dtype=np.uint8)
            demo["actions"] = np.c_[np.zeros((len(pose), 6)), 1 - 2 * closing_command()]
            for name, values in arrays.items():
                demo[name] = values


@pytest.fixture
def mixed(tmp_path):
    """Our files, a robomimic file and a LeRobotDataset in one folder, and one that is broken."""
    folder = tmp_path / "in"
    for k, episode in enumerate(demonstrated([3, 4])):
        write_episode(folder / f"e{k}.h5", episode)
    write_robomimic(folder / "lift.hdf5")
    write_lerobot_dataset([("a.h5", demonstrated([5])[0])], folder / "lerobot")
    (folder / "empty.h5").touch()
    return folder


def test_every_format_is_recognised(mixed):
    kinds = kinds_in(mixed)
    assert kinds.counts == {"ocrrl HDF5": 2, "robomimic HDF5": 1, "LeRobotDataset v3": 1}
    assert (kinds.source_format, kinds.tabletop_task) == ("ocrrl", "cube_lift")
    assert kinds.refused == {mixed / "empty.h5": "file must be an HDF5 file, got an empty file (0 bytes)"}


def test_our_own_recordings_are_read_and_nothing_is_written(mixed, tmp_path):
    before = contents(tmp_path)
    check = checked(mixed)
    assert check.summary.accepted == ("e0.h5", "e1.h5") and check.exit_code == 1
    assert set(check.summary.rejected) == {"empty.h5", "lift.hdf5"}
    assert check.summary.left_out == {"lerobot": "a LeRobotDataset, which source_format lerobot reads"}
    assert check.episode is not None and check.episode.origin == "e0.h5"
    assert check.episode.cameras == {"front": [16, 16], "wrist": [16, 16]} and check.episode.success
    assert check.episode.ranges["commanded opening"] == [0.0, 1.0]
    assert contents(tmp_path) == before


def test_a_foreign_folder_without_a_mapping_gets_one_that_reads_it(tmp_path):
    write_robomimic(tmp_path / "in/lift.hdf5")
    check = checked(tmp_path / "in")
    assert check.suggestion is not None and check.unreadable == ""
    assert check.summary.accepted == ("lift-demo_0.h5", "lift-demo_1.h5") and check.fields is not None
    assert "robot0_eef_pos" in check.fields.numbers and check.fields.recorded_hz == 20
    mapping = check.suggestion.mapping | {"cell": "lab"}
    again = checked(tmp_path / "in", IngestConfig(source_format="robomimic", mapping=mapping))
    assert again.suggestion is None and again.summary.accepted == check.summary.accepted


def test_a_mapping_is_suggested_from_a_container_that_can_be_read(tmp_path):
    write_robomimic(tmp_path / "in/a_damaged.hdf5", offset=(0.0, 0.0, 0.7))
    with h5py.File(tmp_path / "in/a_damaged.hdf5", "r+") as file:
        for demo in file["data"].values():
            rng = np.random.default_rng(0)
            demo["obs/robot0_eef_pos"][...] = rng.normal(size=demo["obs/robot0_eef_pos"].shape)
    write_robomimic(tmp_path / "in/b.hdf5")
    check = checked(tmp_path / "in")
    assert len(check.summary.accepted) == 2 and not check.unreadable
    assert all(origin.startswith("a_damaged") for origin in check.summary.rejected)


def test_a_base_elsewhere_is_found_from_the_joints(tmp_path):
    write_robomimic(tmp_path / "in/lift.hdf5", offset=(-0.56, 0.0, 0.912))
    check = checked(tmp_path / "in")
    assert check.suggestion is not None and check.unreadable == ""
    np.testing.assert_allclose(check.suggestion.mapping["base_pose"], [-0.56, 0, 0.912, 1, 0, 0, 0], atol=1e-3)


def test_a_lerobot_dataset_is_suggested_one_too(tmp_path):
    pairs = [(f"{k}.h5", episode) for k, episode in enumerate(demonstrated([3, 4, 5]))]
    write_lerobot_dataset(pairs, tmp_path / "in")
    check = checked(tmp_path / "in")
    assert check.suggestion is not None
    mapping = check.suggestion.mapping
    assert mapping["images"] == {name: f"observation.images.{name}" for name in CAMERAS}
    assert LeRobotMapping.from_params(mapping | {"cell": "lab"}).position == "observation.state[x,y,z]"
    assert len(check.summary.accepted) == 3, check.summary.describe()


def test_what_cannot_be_read_with_any_mapping_is_refused_with_what_was_found(tmp_path):
    (tmp_path / "in").mkdir()
    with h5py.File(tmp_path / "in/odd.h5", "w") as file:
        file["data/demo_0/obs/temperature"] = np.zeros((5, 2))
        file["data/demo_0/actions"] = np.zeros((5, 7))
    check = checked(tmp_path / "in")
    assert check.exit_code == 1 and not check.summary.accepted
    assert check.summary.rejected["odd.h5"].startswith("mapping must be declared to read it")
    assert check.suggestion is not None and "???" in check.suggestion.images().values()


def test_the_command_prints_lines_or_one_document_and_its_exit_code_says_whether_all_is_readable(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for k, episode in enumerate(demonstrated([3, 4], image_size=64)):
        write_episode(tmp_path / f"in/e{k}.h5", episode)
    before = contents(tmp_path)
    assert main(["ingest", "--check", "in"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("in: 2 x ocrrl HDF5; checked as cube_lift (named)\n2 episodes accepted, 0 rejected\n")
    assert "one episode, e0.h5: " in text
    (tmp_path / "in/x.h5").touch()
    assert main(["ingest", "cube_lift", "--check", "in", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["accepted"] == ["e0.h5", "e1.h5"] and document["exit_code"] == 1
    assert document["rejected"][0]["source"] == "x.h5" and document["episode"]["cameras"]["front"] == [64, 64]
    (tmp_path / "in/x.h5").unlink()
    assert contents(tmp_path) == before


def test_a_folder_that_is_not_there_and_no_task_are_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["ingest", "--check", "nowhere"]) == 1 and main(["ingest"]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert errors == [
        "ocrrl ingest: the folder of recordings must exist, got nowhere",
        "ocrrl ingest: ingest must have a tabletop task, such as cube_lift, or --check FOLDER",
    ]
