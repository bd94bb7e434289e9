import json
import os
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import h5py
import numpy as np
import pytest

from ocrrl.episodes.episode_store import read_episode, write_episode
from ocrrl.recordings import read_all as module
from ocrrl.recordings import reader
from ocrrl.recordings.expendable import UnforeseenLog
from ocrrl.recordings.ingest import ingest
from ocrrl.recordings.ingest_config import IngestConfig
from ocrrl.recordings.read_all import Kept, LeftOut, Refused, read_all
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from tests.episodes.toy_episodes import demonstrated
from tests.recordings.damaged_files import damage

CAMERAS = {"front": (16, 16), "wrist": (16, 16)}
DAMAGED = 42


@pytest.fixture(scope="module")
def episodes():
    return demonstrated([3, 4, 5])


def outcomes(folder, config=None, cameras=CAMERAS, log="log.txt"):
    return list(read_all(folder, CUBE_LIFT, config or IngestConfig(), cameras, UnforeseenLog(folder.parent / log)))


def refusals(found):
    return {outcome.origin: outcome.reason for outcome in found if isinstance(outcome, Refused)}


def kept(found):
    return [outcome.origin for outcome in found if isinstance(outcome, Kept)]


def change(path, **attributes):
    with h5py.File(path, "a") as file:
        file.attrs.update(attributes)


def _ingested(folder, out):
    """The summary of ingesting `folder`, and the largest child's memory in bytes."""
    outs = (out / name for name in ("real", "normalised", "r.json"))
    return ingest(folder, CUBE_LIFT, *outs, IngestConfig(cells=("twin",))), _peak_of_children()


def test_damaged_files_among_good_ones_are_refused_by_name_or_read_right(tmp_path, episodes, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "in"
    for name, episode in zip(("a.h5", "m.h5", "z.h5"), episodes, strict=True):
        write_episode(folder / name, episode)
    other = demonstrated([6])[0]
    write_episode(tmp_path / "other.h5", other)
    done = {f"d{k:02d}.h5": damage(tmp_path / "other.h5", folder / f"d{k:02d}.h5", k) for k in range(DAMAGED)}
    started = time.monotonic()
    with ProcessPoolExecutor(1, get_context("spawn")) as fresh:  # none of its children belongs to another test
        summary, peak = fresh.submit(_ingested, folder, tmp_path).result()
    assert time.monotonic() - started < 60
    assert {"a.h5", "m.h5", "z.h5"} <= set(summary.accepted)
    assert set(summary.accepted) | set(summary.rejected) == {"a.h5", "m.h5", "z.h5", *done}
    assert not summary.unforeseen, summary.describe()
    assert len(summary.rejected) > 0.6 * DAMAGED
    for name in set(summary.accepted) & set(done):
        read = read_episode(folder / name)
        for field in ("action", "gripper_pose", "commanded_pose", "joint_positions", "gripper_width", "timestamps"):
            np.testing.assert_array_equal(getattr(read, field), getattr(other, field), err_msg=f"{name}: {done[name]}")
        for camera, frames in other.images.items():
            np.testing.assert_array_equal(read.images[camera], frames, err_msg=f"{name}: {done[name]}")
    for name, reason in summary.rejected.items():
        assert " must be " in reason or reason.startswith("reading it "), f"{name}: {done[name]}: {reason}"
    assert peak < 2e9
    assert json.loads((tmp_path / "r.json").read_text())["counts"]["rejected"] == len(summary.rejected)


def test_a_bug_of_ours_is_one_line_and_its_traceback_is_kept(tmp_path, episodes, monkeypatch):
    """Episodes that the reader stumbles over; the reader of the test's process stands in for that of the other one."""
    monkeypatch.chdir(tmp_path)
    for name, episode in zip(("a.h5", "b.h5"), episodes[:2], strict=True):
        write_episode(tmp_path / "in" / name, episode)
    monkeypatch.setattr(module, "RecordingReader", _Stumbling)
    paths = (tmp_path / name for name in ("real", "normalised", "r.json"))
    summary = ingest(tmp_path / "in", CUBE_LIFT, *paths, IngestConfig(on_rejected="warn"))
    assert summary.accepted == ("b.h5",) and summary.exit_code == 1
    line = "unforeseen KeyError: 'steps'; traceback in .work/logs/ingest-cube_lift.txt"
    assert summary.rejected == {"a.h5": line}
    trace = (tmp_path / ".work/logs/ingest-cube_lift.txt").read_text()
    assert trace.startswith("a.h5\nTraceback") and 'raise KeyError("steps")' in trace


class _Stumbling(reader.RecordingReader):
    def read(self, container, index, expected):
        if container.name == "a.h5":
            raise KeyError("steps")
        return super().read(container, index, expected)


class _Crashing(reader.RecordingReader):
    def glance(self, path, expected):
        if path.name == "a.h5":
            os.abort()
        return super().glance(path, expected)

    def find(self, container):
        if container.name == "b.h5":
            os.abort()
        return super().find(container)

    def read(self, container, index, expected):
        if container.name == "c.h5":
            os.abort()
        return super().read(container, index, expected)


def test_a_file_that_ends_the_process_at_any_moment_is_named_and_the_rest_is_kept(tmp_path, episodes, monkeypatch):
    for k, name in enumerate("abcd"):
        write_episode(tmp_path / f"in/{name}.h5", demonstrated([3 + k])[0])
    monkeypatch.setattr(module, "RecordingReader", _Crashing)
    found = outcomes(tmp_path / "in")
    ended = "reading it ended the process (signal 6)"
    assert refusals(found) == {"a.h5": ended, "b.h5": ended, "c.h5": ended} and kept(found) == ["d.h5"]


def test_the_cell_that_most_recordings_have_decides_whatever_sorts_first(tmp_path, episodes):
    for name, episode in zip(("a.h5", "b.h5", "c.h5"), episodes, strict=True):
        write_episode(tmp_path / "in" / name, episode)
    change(tmp_path / "in/a.h5", cell="fr3")
    found = outcomes(tmp_path / "in")
    assert kept(found) == ["b.h5", "c.h5"] and refusals(found) == {"a.h5": "cell must be one of twin, got fr3"}
    assert kept(outcomes(tmp_path / "in", IngestConfig(cells=("fr3",)))) == ["a.h5"]
    change(tmp_path / "in/b.h5", success=False)  # what is refused anyway has no say
    found = outcomes(tmp_path / "in")
    tied = "where 1 recordings each have fr3 and twin: ingest.cube_lift.cells names those to take"
    assert refusals(found)["a.h5"] == f"cell must be one for all, got fr3, {tied}"
    assert refusals(found)["c.h5"] == f"cell must be one for all, got twin, {tied}"
    assert refusals(found)["b.h5"] == "success must be true, got false" and not kept(found)


def test_without_cameras_to_take_the_size_that_most_have_decides(tmp_path):
    write_episode(tmp_path / "in/a.h5", demonstrated([3], image_size=20)[0])
    for k in (4, 5):
        write_episode(tmp_path / f"in/b{k}.h5", demonstrated([k])[0])
    found = outcomes(tmp_path / "in", cameras=None)
    assert kept(found) == ["b4.h5", "b5.h5"] and refusals(found)["a.h5"].startswith("images must be")


def test_images_of_our_format_come_at_the_size_that_is_asked_for_and_other_cameras_are_left_out(tmp_path):
    episode = demonstrated([3], image_size=48)[0]
    episode.images["side"] = episode.images["front"][:, ::-1].copy()
    write_episode(tmp_path / "in/a.h5", episode)
    still = IngestConfig(still_cameras=("front", "wrist"))  # what moves is one pixel
    (found,) = outcomes(tmp_path / "in", still)
    assert found.reading.notes == (
        "images.side: left out, no camera of the cell (front, wrist)",
        "images.front: 48 x 48 made 16 x 16",
        "images.wrist: 48 x 48 made 16 x 16",
    )
    images = found.reading.episode.images
    assert {camera: frames.shape[1:] for camera, frames in images.items()} == dict.fromkeys(CAMERAS, (16, 16, 3))
    means = episode.images["front"].reshape(-1, 16, 3, 16, 3, 3).mean((2, 4))
    assert np.abs(images["front"] - means).max() <= 1
    del episode.images["wrist"]
    write_episode(tmp_path / "in/a.h5", episode)
    assert (
        refusals(outcomes(tmp_path / "in"))["a.h5"] == "images must be of front, wrist, got front, side (wrist missing)"
    )


def test_an_episode_beyond_the_limit_is_refused_before_it_is_read(tmp_path, episodes):
    write_episode(tmp_path / "in/a.h5", episodes[0])
    with h5py.File(tmp_path / "in/a.h5", "a") as file:
        file.create_dataset("residual", (400_000, 7), "f8", chunks=(1000, 7))
    reason = refusals(outcomes(tmp_path / "in", IngestConfig(max_episode_gb=0.02)))["a.h5"]
    assert reason == "residual must be at most 0.02 GB (max_episode_gb), got 0.0224 GB (400000 x 7 float64 declared)"


def test_a_recording_that_is_there_twice_is_taken_once(tmp_path, episodes):
    write_episode(tmp_path / "in/a.h5", episodes[0])
    write_episode(tmp_path / "in/b.h5", episodes[0])
    change(tmp_path / "in/b.h5", operator="someone else")
    found = outcomes(tmp_path / "in")
    assert kept(found) == ["a.h5"]
    assert refusals(found) == {"b.h5": "rows and images must be its own, got those of a.h5"}


def test_what_is_passed_over_has_its_reason(tmp_path, episodes):
    write_episode(tmp_path / "in/a.h5", episodes[0])
    (tmp_path / "in/b.npz").touch()
    left_out = [outcome for outcome in outcomes(tmp_path / "in") if isinstance(outcome, LeftOut)]
    assert left_out == [LeftOut("b.npz", "arrays of NumPy, which ingest does not read")]


def test_one_file_of_a_folder_is_read_where_only_that_is_asked_for(tmp_path, episodes):
    for name, episode in zip(("a.h5", "b.h5"), episodes[:2], strict=True):
        write_episode(tmp_path / "in" / name, episode)
    log = UnforeseenLog(tmp_path / "log.txt")
    found = read_all(tmp_path / "in", CUBE_LIFT, IngestConfig(), CAMERAS, log, only=tmp_path / "in/b.h5")
    assert kept(list(found)) == ["b.h5"]


def _peak_of_children() -> int:
    """[bytes] of the largest child process so far, which another test may have started."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
