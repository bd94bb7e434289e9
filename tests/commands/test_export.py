"""`ocrrl export` finds the dataset, converts the actions, brings pictures to one size; what it cannot do is named."""

import hashlib
import json

import numpy as np
import pytest
import yaml

from ocrrl.datasets.frames.decoded_frames import decode_dataset
from ocrrl.datasets.lerobot_writer import write_lerobot_dataset
from ocrrl.datasets.sidecar import describe_source
from ocrrl.episodes.episode_store import write_episode
from ocrrl.layout import Layout
from ocrrl.params_graph import graph_sections
from ocrrl.policies.action_forms.action_form import action_form
from ocrrl.preset_params import resolve
from tests.datasets.export.exported import exported
from tests.datasets.export.v21_reader import read_v21
from tests.episodes.toy_episodes import demonstrated, random_episode


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A project with the real dataset of cube_lift, of which replay kept one episode, and the recordings that it was made of."""
    root = tmp_path_factory.mktemp("lab")
    layout, named, described = Layout("cube_lift"), [], {}
    recordings = [*demonstrated([3], image_size=16), random_episode(24)]
    for number, episode in enumerate(recordings):
        episode.images = {camera: np.zeros((len(episode), 16, 16, 3), np.uint8) for camera in ("front", "wrist")}
        name = f"episode_{number:06d}.h5"
        write_episode(root / layout.recorded_episodes / name, episode)
        sha256 = hashlib.sha256((root / layout.recorded_episodes / name).read_bytes()).hexdigest()
        named.append((name, episode))
        described[name] = describe_source(name, episode, sha256=sha256)
    write_lerobot_dataset(named, root / layout.dataset("real"), described)
    (root / layout.accepted_replays).parent.mkdir(parents=True)
    (root / layout.accepted_replays).write_text(json.dumps(["episode_000001.h5"]))
    sections = resolve("smoke", ["cube_lift"])
    (root / "params.yaml").write_text(yaml.safe_dump(sections))
    from ocrrl.params import Params

    (root / "graph.yaml").write_text(yaml.safe_dump(graph_sections(Params(sections).tabletop_tasks, 1, 1)))
    (root / "dvc.yaml").write_text("stages: {}\n")
    return root


@pytest.fixture(autouse=True)
def standing_in_the_lab(lab, monkeypatch):
    monkeypatch.chdir(lab)


def test_a_tabletop_tasks_export_holds_the_episodes_that_fine_tuning_takes(lab, tmp_path):
    out = exported("cube_lift", tmp_path / "export")
    assert read_v21(out).lengths == [24]
    origin = json.loads((out / "meta/ocrrl.json").read_text())
    assert origin["source"] == "data/dataset_real/round0/cube_lift"
    assert [entry["source"] for entry in origin["episodes"]] == ["episode_000001.h5"]


def test_a_dataset_named_by_its_folder_is_exported_whole(tmp_path):
    assert len(read_v21(exported(Layout("cube_lift").dataset("real"), tmp_path / "export")).lengths) == 2


@pytest.mark.parametrize("form", ["gr00t_poses", "libero", "xvla_poses"])
def test_actions_are_written_in_the_declared_form(tmp_path, form):
    (tmp_path / "form.yaml").write_text(f"form: {form}\n")
    words = ("--form", str(tmp_path / "form.yaml"), "--gr00t", "--openpi")
    found = read_v21(exported("cube_lift", tmp_path / "export", *words))
    declared = action_form({"form": form})
    assert found.columns["action"].shape == (24, sum(declared.keys.values()))
    assert yaml.safe_load((tmp_path / "export/meta/action_form.yaml").read_text()) == {"form": form}


def test_forms_of_joints_take_them_from_the_recordings(lab, tmp_path):
    (tmp_path / "form.yaml").write_text("form: droid_joint_velocities\n")
    form = ("--form", str(tmp_path / "form.yaml"))
    recorded = str(Layout("cube_lift").recorded_episodes)
    found = read_v21(exported("cube_lift", tmp_path / "export", *form, "--episodes", recorded))
    assert found.info["fps"] == 15 and found.lengths == [18]
    np.testing.assert_allclose(
        found.columns["observation.state"][0, :7], random_episode(24).joint_positions[0], atol=1e-6
    )
    assert found.info["features"]["observation.state"]["names"][0] == "joint_1"
    with pytest.raises(
        ValueError, match=r"episode_000001.h5: actions: joint_velocities needs the recorded joints.*--episodes"
    ):
        exported("cube_lift", tmp_path / "none", *form)
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        FileNotFoundError, match=r"empty must hold the recording episode_000001.h5 \([0-9a-f]{8}\), got 0 others"
    ):
        exported("cube_lift", tmp_path / "none", *form, "--episodes", str(tmp_path / "empty"))
    assert not (tmp_path / "none").exists()


def test_pictures_of_mixed_sizes_are_refused_and_brought_to_one_size_when_asked(tmp_path):
    episode = random_episode(6)
    episode.images = {
        camera: np.full((6, size, size, 3), 200, np.uint8) for camera, size in (("front", 32), ("wrist", 48))
    }
    write_lerobot_dataset([("mixed.h5", episode)], tmp_path / "dataset")
    with pytest.raises(
        ValueError, match=r"mixed.h5: the pictures of all cameras must be of one size, got front 32 x 32, wrist 48"
    ):
        exported(tmp_path / "dataset", tmp_path / "export")
    assert not (tmp_path / "export").exists()
    found = read_v21(exported(tmp_path / "dataset", tmp_path / "export", "--image-size", "64", "--lossless"))
    assert {camera: frames.shape[1:3] for camera, frames in found.images.items()} == {
        "front": (64, 64),
        "wrist": (64, 64),
    }
    assert abs(found.images["front"].astype(int) - 200).max() <= 3


def test_frames_of_another_size_than_the_dataset_says_are_named(tmp_path):
    write_lerobot_dataset([("a.h5", random_episode(6))], tmp_path / "dataset")
    info = tmp_path / "dataset/meta/info.json"
    content = json.loads(info.read_text())
    key = next(key for key in content["features"] if key.startswith("observation.images."))
    content["features"][key]["shape"] = [32, 32, 3]
    info.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"dataset: {key} must hold frames of \(32, 32, 3\), got one of"):
        exported(tmp_path / "dataset", tmp_path / "export")


@pytest.mark.parametrize(
    ("words", "content", "message"),
    [
        (("juggle",), None, r"source must be a LeRobotDataset's folder or a tabletop task \(cube_lift\), got 'juggle'"),
        (
            ("cube_lift", "--domain", "sim"),
            None,
            r"dataset_sim/round0/cube_lift must be there; `dvc repro replay@cube_lift`",
        ),
        (("cube_lift", "--image-size", "33"), None, r"--image-size must be an even number of pixels"),
        (("cube_lift",), "- steps\n", r"form.yaml must hold a mapping of an action form's fields"),
        (("cube_lift",), "form: gr00t_eef_offsets\n", r"form.yaml: actions must be other than offsets in a dataset"),
        (("cube_lift",), "hertz: 3\n", r"form.yaml.hertz is no parameter; the parameters are"),
    ],
)
def test_what_cannot_be_exported_is_named(tmp_path, words, content, message):
    if content is not None:
        (tmp_path / "form.yaml").write_text(content)
        words = (*words, "--form", str(tmp_path / "form.yaml"))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        exported(words[0], tmp_path / "export", *words[1:])
    assert not (tmp_path / "export").exists()


def test_a_training_set_of_rollouts_exports_the_same_way(lab, tmp_path):
    episodes = [
        ("demonstration.h5", demonstrated([3], image_size=16)[0]),
        ("cube_lift_corrected/episode_000000.h5", random_episode(8)),
    ]
    episodes[0][1].images = {
        camera: np.zeros((len(episodes[0][1]), 16, 16, 3), np.uint8) for camera in ("front", "wrist")
    }
    episodes[1][1].images = {camera: np.zeros((8, 16, 16, 3), np.uint8) for camera in ("front", "wrist")}
    described = {
        name: describe_source(name, episode, "rollout" if "/" in name else "demonstration")
        for name, episode in episodes
    }
    root = Layout("cube_lift").training_set("retrained")
    write_lerobot_dataset(episodes, root, described)
    out = exported(root, tmp_path / "export", "--gr00t")
    origin = json.loads((out / "meta/ocrrl.json").read_text())
    assert [entry["kind"] for entry in origin["episodes"]] == ["demonstration", "rollout"]
    np.testing.assert_array_equal(read_v21(out).columns["action"].astype(np.float32), decode_dataset(root).action)
