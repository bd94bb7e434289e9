"""What `python -m benchmarks.same_bytes` finds between the data folders of two projects."""

import json
import shutil
import sys
from dataclasses import replace

import av
import numpy as np
import pytest
import torch
import zarr
from safetensors.torch import save_file

from benchmarks import same_bytes
from benchmarks.same_bytes import compare_projects, table_of
from ocrrl.episodes.episode_store import write_episode
from ocrrl.episodes.ingested import sha256_of
from ocrrl.lineage.reading.places import new_place
from tests.episodes.toy_episodes import random_episode

VLA = "data/models/round0/cube_lift/vla_sim"
ROLLOUT = "data/rollouts/round0/cube_lift_corrected/episode_000000.h5"
SIDECAR = "data/training_sets/round0/cube_lift_retrained/sidecar/episodes.json"
VIDEO = "data/datasets/round0/cube_lift_sim/videos/front.mp4"
ZARR = "data/replay/round0/cube_lift.zarr"
METRICS = "data/metrics/round0/replay/cube_lift.json"
REPORT = "data/reports/round0/cube_lift/index.html"


def _write_video(path, frames):
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=20, options={"qp": "0"})
        stream.width = stream.height = 64
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        file.mux(stream.encode())


def _write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def _write_zarr(path, reward, chunks=3):
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    group.create_array("reward", data=reward, chunks=(chunks,))


@pytest.fixture
def before(tmp_path):
    project = tmp_path / "before"
    (project / VLA).mkdir(parents=True)
    save_file({"w": torch.arange(4.0), "b": torch.zeros(2)}, project / VLA / "model.safetensors")
    _write(project / VLA / "config.json", {"dataset": "data/datasets/round0/cube_lift_sim", "loss": float("nan")})
    write_episode(project / ROLLOUT, random_episode())
    _write(project / SIDECAR, [{"source": "e0.h5", "sha256": sha256_of(project / ROLLOUT)}])
    _write_video(project / VIDEO, np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3), np.uint8))
    _write_zarr(project / ZARR, np.arange(3.0))
    _write(project / METRICS, {"kept": ["e0.h5"], "config": {"max_slip": 0.03}})
    _write(project / REPORT, "<p>old</p>")
    _write(project / "data/runs.jsonl", "times")
    return project


@pytest.fixture
def after(before, tmp_path):
    """The same in the new layout."""
    project = tmp_path / "after"
    for path in before.rglob("*"):
        if path.is_file():
            place = project / new_place(path.relative_to(before))
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
    return project


def _place(after, old):
    return after / new_place((after / old).relative_to(after))


def _found(before, after):
    return {item.path.as_posix(): item.differences for item in compare_projects(before, after) if item.differences}


def test_the_same_files_in_old_and_new_places_are_equal(before, after):
    compared = compare_projects(before, after)
    assert len(compared) == 8 and all(item.same_bytes for item in compared)
    assert all(item.same_bytes for item in compare_projects(before, before))


def test_renamed_paths_a_moved_list_and_a_report_are_no_difference(before, after):
    _write(_place(after, f"{VLA}/config.json"), '{"dataset": "data/dataset_sim/round0/cube_lift", "loss": NaN}')
    _write(_place(after, METRICS), {"config": {"max_slip": 0.03}})
    _write(after / "data/accepted/round0/cube_lift.json", ["e0.h5"])
    _write(_place(after, REPORT), "<p>new</p>")
    assert not _found(before, after)
    rows = {row[0]: row[1:] for row in table_of(compare_projects(before, after)).rows}
    assert rows["vla_sim"] == ("2", "1", "1", "0")
    assert rows["metrics/replay"] == rows["reports"] == rows["accepted"] == ("1", "0", "1", "0")
    _write(after / "data/accepted/round0/cube_lift.json", ["e1.h5"])
    assert "other episodes than `kept` in" in _found(before, after)["data/accepted/round0/cube_lift.json"][0]


def test_renamed_settings_of_a_residual_are_no_difference_and_another_value_is(before, after):
    old = {"config": {"batch": 256, "residual_every": 4}, "format_version": 3}
    new = {"config": {"batch_size": 256, "action_repeat": 4}, "format_version": 4}
    _write(before / "data/models/round0/cube_lift/residual_0/config.json", old)
    place = "data/residual_0/round0/cube_lift/config.json"
    _write(after / place, new)
    assert not _found(before, after)
    _write(after / place, new | {"config": {"batch_size": 128, "residual_every": 4}})
    assert _found(before, after)[place] == ("/config/batch_size: 256 and 128",)


def test_the_confidence_of_rollouts_may_change_and_nothing_else_of_them(before, after):
    file = _place(after, ROLLOUT)
    episode = replace(random_episode(), object_confidence=np.ones((12, 1)))
    write_episode(file, episode)
    _write(_place(after, SIDECAR), [{"source": "e0.h5", "sha256": sha256_of(file)}])
    assert not _found(before, after)
    write_episode(file, replace(episode, residual=np.ones((12, 7)), attributes=replace(episode.attributes, seed=9)))
    assert _found(before, after)["data/rollouts_corrected/round0/cube_lift/episode_000000.h5"] == (
        "/@seed: 0 and 9",
        "/residual: values",
    )


def test_an_episode_names_the_release_that_recorded_it_and_that_may_differ(before, after):
    file, episode = _place(after, ROLLOUT), random_episode()
    versions = episode.attributes.versions
    write_episode(file, replace(episode, attributes=replace(episode.attributes, versions=versions | {"ocrrl": "9.0"})))
    _write(_place(after, SIDECAR), [{"source": "e0.h5", "sha256": sha256_of(file)}])
    assert not _found(before, after)
    write_episode(file, replace(episode, attributes=replace(episode.attributes, versions=versions | {"numpy": "9.0"})))
    assert _found(before, after)["data/rollouts_corrected/round0/cube_lift/episode_000000.h5"] == (
        "/@versions/numpy: new",
    )


def test_a_hash_of_another_file_is_found(before, after):
    _write(_place(after, SIDECAR), [{"source": "e0.h5", "sha256": "0" * 64}])
    (found,) = _found(before, after).values()
    assert found[0].startswith("[0]/sha256: ")


def test_a_changed_weight_frame_or_transition_is_found(before, after):
    save_file({"w": torch.arange(4.0) + 1e-6, "b": torch.zeros(2)}, _place(after, f"{VLA}/model.safetensors"))
    frames = np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3), np.uint8)
    frames[1, :8] ^= 64
    _write_video(_place(after, VIDEO), frames)
    _write_zarr(_place(after, ZARR), np.array([0.0, 1.0, 2.5]))
    found = _found(before, after)
    assert found["data/vla_sim/round0/cube_lift/model.safetensors"] == ("/tensors/w: values",)
    assert "/frames[1]: values" in found["data/dataset_sim/round0/cube_lift/videos/front.mp4"]
    assert found["data/transitions/round0/cube_lift.zarr"] == ("/arrays/reward: values",)


def test_values_that_are_stored_otherwise_are_equal(before, after):
    _write_zarr(_place(after, ZARR), np.arange(3.0), chunks=1)
    _write(_place(after, METRICS), json.dumps({"config": {"max_slip": 0.03}, "kept": ["e0.h5"]}, indent=3))
    assert not _found(before, after)
    _write(_place(after, METRICS), {"config": {"max_slip": 0.04}, "new": 1})
    assert _found(before, after)["data/metrics/replay/round0/cube_lift.json"] == (
        "/config/max_slip: 0.03 and 0.04",
        "/new: new",
    )


def test_a_file_in_one_folder_only_is_found(before, after, monkeypatch, capsys):
    _place(after, f"{VLA}/config.json").unlink()
    _write(after / "data/vla_sim/round0/cube_lift/extra.json", {})
    assert _found(before, after) == {
        "data/vla_sim/round0/cube_lift/config.json": ("only in BEFORE",),
        "data/vla_sim/round0/cube_lift/extra.json": ("only in AFTER",),
    }
    monkeypatch.setattr(sys, "argv", ["same_bytes", str(before), str(after)])
    with pytest.raises(SystemExit) as ended:
        same_bytes.main()
    assert ended.value.code == 1
    assert "extra.json: only in AFTER" in capsys.readouterr().out


def test_a_damaged_file_and_a_folder_without_data_are_named(before, after, tmp_path):
    _place(after, ROLLOUT).write_bytes(b"broken")
    (found,) = _found(before, after).values()
    assert found[0].startswith("cannot be read: ")
    with pytest.raises(ValueError, match="empty must be a project folder in which stages have run"):
        compare_projects(before, tmp_path / "empty")
