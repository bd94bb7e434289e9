"""An exported dataset is LeRobot v2.1 to the last field, its numbers are the source's, its pictures equal as stated."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ocrrl.datasets.export.lerobot_v21 import COMMON, LOSSLESS, ExportedEpisode, V21Writer, whole_folder
from ocrrl.datasets.export.origin import ORIGIN, read_origin
from ocrrl.datasets.frames.decoded_frames import decode_dataset
from ocrrl.lineage.reading.hashes import Ignored, path_hash
from tests.datasets.export.exported import exported
from tests.datasets.export.v21_reader import read_v21

MEAN_DIFFERENCE = 4.0
"""Of 255, mean over a camera's pictures in yuv420p: colour has half the resolution; brightness alone differs by less than 1."""
BRIGHTNESS = np.array([0.299, 0.587, 0.114])


def test_every_field_is_that_of_v21_and_the_numbers_are_the_sources(toy_dataset, tmp_path):
    root, _ = toy_dataset
    out = exported(root, tmp_path / "lab/export")
    found, source = read_v21(out), decode_dataset(root)
    assert found.info["total_episodes"] == 3 and found.info["fps"] == 20
    assert found.info["features"]["action"]["names"] == ["dx", "dy", "dz", "drx", "dry", "drz", "gripper"]
    np.testing.assert_array_equal(found.columns["observation.state"].astype(np.float32), source.state)
    np.testing.assert_array_equal(found.columns["action"].astype(np.float32), source.action)
    np.testing.assert_array_equal(found.columns["episode_index"][:, 0], source.episode_index)
    assert found.tasks == [source.tasks[0]]
    for camera, frames in source.images.items():
        difference = found.images[camera].astype(float) - np.asarray(frames)
        assert np.abs(difference).mean() < MEAN_DIFFERENCE
        assert np.abs(difference @ BRIGHTNESS).mean() < 1.0


def test_lossless_pictures_are_the_same_bytes(toy_dataset, tmp_path):
    root, _ = toy_dataset
    found, source = read_v21(exported(root, tmp_path / "export", "--lossless")), decode_dataset(root)
    assert all(np.array_equal(found.images[camera], frames) for camera, frames in source.images.items())


def test_an_export_says_what_it_was_made_of(toy_dataset, tmp_path):
    root, episodes = toy_dataset
    out = exported(root, tmp_path / "export")
    origin = read_origin(out)
    assert origin.source_hash == path_hash(root, root.parent, Ignored())
    assert [entry["source"] for entry in origin.episodes] == [name for name, _ in episodes]
    assert set(origin.files) == {
        str(path.relative_to(out)) for path in out.rglob("*") if path.is_file() and path != out / ORIGIN
    }
    again = read_origin(exported(root, tmp_path / "again"))
    assert again.content_hash == origin.content_hash  # the same bytes twice


def test_a_folder_that_is_there_is_left_alone(toy_dataset, tmp_path):
    (tmp_path / "export").mkdir()
    with pytest.raises(FileExistsError, match=r"export must not exist yet; name another folder"):
        exported(toy_dataset[0], tmp_path / "export")
    assert not list((tmp_path / "export").iterdir())


def episode(**images: np.ndarray) -> ExportedEpisode:
    return ExportedEpisode("lift it", np.zeros((2, 8)), np.zeros((2, 7)), images)


def pictures(*size: int) -> np.ndarray:
    return np.zeros((2, *size, 3), np.uint8)


NAMES = {"observation.state": [f"s{k}" for k in range(8)], "action": [f"a{k}" for k in range(7)]}


def test_pictures_of_mixed_sizes_are_named_with_the_next_step(tmp_path):
    writer = V21Writer(tmp_path, 20, NAMES, COMMON)
    with pytest.raises(
        ValueError,
        match=r"e0: the pictures of all cameras must be of one size, got front 32 x 32, wrist 16 x 16; `--",
    ):
        writer.add(episode(front=pictures(32, 32), wrist=pictures(16, 16)), "e0")
    with pytest.raises(ValueError, match=r"e0: pictures must be of even height and width, got front 31 x 32"):
        writer.add(episode(front=pictures(31, 32)), "e0")
    writer.add(episode(front=pictures(32, 32)), "e0")
    with pytest.raises(
        ValueError, match=r"e1: pictures must be front 32 x 32 as in the first episode, got front 16 x 16"
    ):
        writer.add(episode(front=pictures(16, 16)), "e1")
    with pytest.raises(ValueError, match=r"e2: a VLA's dataset must have at least one camera"):
        writer.add(episode(), "e2")


def test_no_episode_is_no_dataset(tmp_path):
    with pytest.raises(ValueError, match="at least one episode"):
        V21Writer(tmp_path, 20, NAMES, LOSSLESS).finish()


def test_a_failure_leaves_no_folder(tmp_path):
    with pytest.raises(ZeroDivisionError), whole_folder(tmp_path / "export") as work:
        (work / "half").write_text("half")
        _ = 1 / 0
    assert not list(tmp_path.iterdir())


def test_a_kill_leaves_no_folder_of_that_name_and_the_next_export_clears_up(tmp_path):
    code = (
        "import os, signal\nfrom pathlib import Path\nfrom ocrrl.datasets.export.lerobot_v21 import whole_folder\n"
        f"with whole_folder(Path({str(tmp_path / 'export')!r})) as work:\n"
        "    (work / 'half').write_text('half')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(Path.cwd())})
    assert killed.returncode == -signal.SIGKILL and not (tmp_path / "export").exists()
    with whole_folder(tmp_path / "export") as work:
        (work / "whole").write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["export"]
    assert [path.name for path in (tmp_path / "export").iterdir()] == ["whole"]


def test_a_damaged_origin_is_named(toy_dataset, tmp_path):
    out = exported(toy_dataset[0], tmp_path / "export")
    content = json.loads((out / ORIGIN).read_text())
    (out / ORIGIN).write_text(json.dumps({**content, "source": 3}))
    with pytest.raises(ValueError, match=r"ocrrl\.json: source must be there, got 3; export the dataset again"):
        read_origin(out)
    (out / ORIGIN).write_text(json.dumps({**content, "format_version": 7}))
    with pytest.raises(ValueError, match=r"format_version must be 1"):
        read_origin(out)
