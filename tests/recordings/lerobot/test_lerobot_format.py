"""Datasets are found wherever they lie, each episode under a name of its own; what cannot be used is named once."""

import json
import shutil

import numpy as np
import pytest

from ocrrl.episodes.episode_checks import EpisodeRejected, EpisodeRequirements
from ocrrl.recordings.folder import look_through
from ocrrl.recordings.lerobot.lerobot_format import lerobot_episodes
from ocrrl.recordings.lerobot.lerobot_mapping import LeRobotMapping
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from tests.recordings.lerobot.recorded_dataset import DATA, MAPPING, Recorded, encode, video

ANY = EpisodeRequirements()


def found(folder, split="", among=None, **mapping):
    roots = look_through(folder, lerobot=True).recordings if among is None else among
    declared = LeRobotMapping.from_params(MAPPING | mapping)
    return [each for root in roots for each in lerobot_episodes(root, folder, CUBE_LIFT, declared, split)]


def loaded(folder, expected=ANY, **options):
    """What becomes of each recording by origin: its notes, or the reason."""
    told = {}
    for recording in found(folder, **options):
        try:
            told[recording.origin] = recording.left_out or recording.load(expected).notes
        except EpisodeRejected as reason:
            told[recording.origin] = reason.reason
    return told


def test_datasets_below_a_folder_are_found_in_order(tmp_path):
    Recorded(lengths=[6, 7]).write(tmp_path / "in/b")
    Recorded(lengths=[6]).write_v21(tmp_path / "in/a/deep")
    recordings = found(tmp_path / "in")
    assert [(each.source, each.origin) for each in recordings] == [
        ("a__deep-episode_000000.h5", "a/deep:0"),
        ("b-episode_000000.h5", "b:0"),
        ("b-episode_000001.h5", "b:1"),
    ]
    assert [len(each.load(EpisodeRequirements()).episode) for each in recordings] == [6, 6, 7]
    assert found(tmp_path / "in/b")[0].origin == "b:0"
    assert [each.origin for each in found(tmp_path / "in", among=[tmp_path / "in/b"])] == ["b:0", "b:1"]


def test_folders_whose_names_become_one_keep_sources_apart(tmp_path):
    for name in ("a b", "a_b", "测试", "实验"):
        Recorded(lengths=[6]).write(tmp_path / name)
    sources = [each.source for each in found(tmp_path)]
    assert len(set(sources)) == 4 and "a_b-episode_000000.h5" in sources
    alone = [each.source for name in ("a b", "测试") for each in found(tmp_path, among=[tmp_path / name])]
    assert set(alone) < set(sources)


def test_episodes_of_another_split_are_left_out(tmp_path):
    Recorded(lengths=[6, 6, 6], info={"splits": {"train": "0:2", "val": "2:3"}}).write(tmp_path / "a")
    assert loaded(tmp_path, split="train") == {"a:0": (), "a:1": (), "a:2": "not in split train (0:2)"}
    assert loaded(tmp_path) == {"a:0": (), "a:1": (), "a:2": ()}
    assert "splits must be one with test" in loaded(tmp_path, split="test")["a"]


def test_a_dataset_that_cannot_be_used_is_named_once_and_the_others_are_read(tmp_path):
    for name in ("good", "cut", "linked", "rate", "lost"):
        Recorded(lengths=[6, 6]).write(tmp_path / name)
    (tmp_path / "cut/meta/info.json").write_text('{"fps": 20, ')
    (tmp_path / "linked/meta/info.json").unlink()
    (tmp_path / "linked/meta/info.json").symlink_to("../../../blobs/1234")
    info = json.loads((tmp_path / "rate/meta/info.json").read_text())
    (tmp_path / "rate/meta/info.json").write_text(json.dumps(info | {"fps": None}))
    (tmp_path / "lost/meta/info.json").unlink()
    told = loaded(tmp_path)
    assert (told.pop("good:0"), told.pop("good:1")) == ((), ())
    reasons = {
        "cut": "meta/info.json: file must be JSON",
        "linked": "meta/info.json: file must be a readable file of the dataset, got a link that leads nowhere",
        "lost": "meta/info.json: file must be a readable file of the dataset, got nothing",
        "rate": "meta/info.json: fps must be a number of frames per second",
    }
    assert told.keys() == reasons.keys()
    for origin, reason in reasons.items():
        assert told[origin].startswith(reason), told[origin]


def test_a_broken_file_is_named_beside_the_episodes_that_are_whole(tmp_path):
    root = Recorded(lengths=[6, 6]).write(tmp_path / "a")
    (root / DATA.replace("000.parquet", "001.parquet")).mkdir()
    told = loaded(tmp_path)
    assert (told.pop("a:0"), told.pop("a:1")) == ((), ())
    assert told == {
        "a:data/chunk-000/file-001.parquet": "file must be a readable file of the dataset, got a folder",
    }


def test_a_dead_camera_is_refused_unless_it_is_allowed(tmp_path):
    recorded = Recorded(lengths=[16, 16])
    recorded.frames["wrist"][:16] = 0
    recorded.frames["front"][16:] = recorded.frames["front"][16]
    recorded.write(tmp_path / "a")
    told = loaded(tmp_path)
    assert told["a:0"].startswith("images/wrist must be more than black, got black images 16 times")
    assert told["a:1"].startswith("images/front must be changing while the arm moves, got the same image 16 times")
    assert loaded(tmp_path, EpisodeRequirements(still_cameras=("front", "wrist"))) == {"a:0": (), "a:1": ()}


def test_another_rate_than_ours_is_no_rate_for_deltas(tmp_path):
    Recorded(lengths=[6, 6], info={"fps": 10}).write(tmp_path / "a")
    told = loaded(tmp_path, actions="deltas", steps="action[0:6]")
    assert told == {"a": "meta/info.json: fps must be 20 for actions: deltas (or use from_poses), got 10"}


def test_names_in_any_form_and_numbers_of_any_type_are_read(tmp_path):
    recorded = Recorded(lengths=[8], kind="image")
    features = recorded.described()["features"]
    features["state"] = features.pop("observation.state") | {
        "names": {"motors": [*features["action"]["names"][:6], "width"]}
    }
    recorded.info = {"features": features}
    recorded.rows["state"] = recorded.rows.pop("observation.state").astype(np.float64)
    recorded.write(tmp_path / "a")
    state = {"position": "state[x,y,z]", "rotation": "state[rx,ry,rz]", "gripper_width": "state[width]"}
    assert loaded(tmp_path, **state) == {"a:0": ()}


def test_a_folder_without_datasets_holds_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    assert found(tmp_path) == []


def test_a_video_of_many_episodes_is_read_from_where_the_last_one_ended(tmp_path):
    recorded = Recorded(lengths=[6] * 8)
    root = recorded.write(tmp_path / "a")
    encode(root / video("front"), recorded.frames["front"])  # one key frame for all
    assert set(loaded(tmp_path).values()) == {()}
    shutil.rmtree(root / "videos/observation.images.wrist")
    assert all("wrist" in reason and "file-000.mp4" in reason for reason in loaded(tmp_path).values())


@pytest.mark.parametrize("key", ["../../x", "/etc/x", "a\x1b[2Jb", "{x.__class__}"])
def test_a_key_that_is_a_path_or_a_format_stays_in_the_dataset(tmp_path, key):
    recorded = Recorded(lengths=[6])
    features = recorded.described()["features"]
    features[key] = features["observation.images.front"]
    recorded.info = {"features": features}
    name = f"videos/{key}"
    recorded.episodes[0] |= {f"{name}/chunk_index": 0, f"{name}/file_index": 0, f"{name}/from_timestamp": 0.0}
    recorded.write(tmp_path / "a")
    reason = loaded(tmp_path, images={"front": key})["a:0"]
    assert "video_path must be inside the dataset" in reason or "file must be a readable file" in reason
