"""A disk that is full ends a recording with an error of Python's, and the bytes are those that libhdf5 itself writes."""

import errno
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest

from ocrrl.episodes import hdf5_in_memory
from ocrrl.episodes.episode_store import EpisodeWriter, read_episode, write_episode
from ocrrl.episodes.hdf5_in_memory import Hdf5InMemory
from tests.episodes.toy_episodes import random_episode
from tests.full_disk import Full
from tests.pipeline_copy import ROOT


def write(file, group, steps, shape, flush, looked_at):
    """`steps` frames of two cameras and a row of numbers each, flushed every 20 and looked at in between."""
    frames = np.random.default_rng(0).integers(0, 256, (8, *shape), np.uint8)
    for step in range(steps):
        for camera in ("front", "wrist"):
            if camera not in group:
                group.create_dataset(camera, (0, *shape), np.uint8, maxshape=(None, *shape), chunks=(1, *shape))
            group[camera].resize(step + 1, axis=0)
            group[camera][step] = frames[step % 8]
        if "action" not in file:
            file.create_dataset("action", (0, 7), maxshape=(None, 7), chunks=(32, 7))
        file["action"].resize(step + 1, axis=0)
        file["action"][step] = step
        flush() if step % 20 == 0 else looked_at()


@pytest.mark.parametrize("shape", [(12, 16, 3), (150, 151, 3), (480, 640, 3)])
def test_the_bytes_are_those_that_libhdf5_writes(tmp_path, shape):
    with h5py.File(tmp_path / "plain.h5", "w", track_order=False) as plain:
        write(plain, plain.create_group("images"), 45, shape, plain.flush, lambda: None)
    ours = Hdf5InMemory(tmp_path / "ours.h5")
    images = ours.file.create_group("images")
    write(ours.file, images, 45, shape, lambda: ours.flush(images), ours.copy_ahead)
    ours.close()
    assert (tmp_path / "ours.h5").read_bytes() == (tmp_path / "plain.h5").read_bytes()


def test_frames_that_are_on_disk_take_no_memory(tmp_path):
    ours = Hdf5InMemory(tmp_path / "ours.h5")
    images = ours.file.create_group("images")
    write(ours.file, images, 41, (480, 640, 3), lambda: ours.flush(images), ours.copy_ahead)
    held = os.fstat(ours._memory.fileno()).st_blocks * 512
    assert (tmp_path / "ours.h5").stat().st_size > 75e6 and held < 1e6
    ours.close()


def record(writer, steps, shape=(12, 16, 3)):
    for step in range(steps):
        image = np.full(shape, step, np.uint8)
        writer.append({"front": image, "wrist": image}, action=np.full(7, step), timestamps=np.asarray(step))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("shape", [(12, 16, 3), (200, 200, 3)])
def test_a_disk_that_takes_no_more_leaves_the_recording_as_of_the_last_second(tmp_path, monkeypatch, code, shape):
    writer = EpisodeWriter(tmp_path / "e.h5", compress=False)
    record(writer, 30, shape)
    written = (tmp_path / ".e.h5.partial").stat().st_blocks * 512
    monkeypatch.setattr(hdf5_in_memory.os, "sendfile", Full(written // 20, code))
    with pytest.raises(OSError, match=r"\.e\.h5\.partial") as refused:
        record(writer, 300, shape)
    assert refused.value.errno == code
    writer.abandon()
    with h5py.File(tmp_path / ".e.h5.partial") as file:
        assert len(file["action"]) >= 21 and file["images/front"][20].all()
        np.testing.assert_array_equal(file["action"][20], np.full(7, 20))


def test_room_that_comes_back_is_used(tmp_path, monkeypatch):
    writer = EpisodeWriter(tmp_path / "e.h5", compress=False)
    record(writer, 21)
    with monkeypatch.context() as full:
        full.setattr(hdf5_in_memory.os, "sendfile", Full(0))
        with pytest.raises(OSError, match="No space left"):
            record(writer, 40)
    writer.abandon()
    with h5py.File(tmp_path / ".e.h5.partial") as file:
        assert len(file["action"]) > 21


@pytest.mark.parametrize("room", [0, 5_000, 30_000])
def test_an_episode_that_does_not_fit_leaves_the_old_one_and_nothing_else(tmp_path, monkeypatch, room):
    write_episode(tmp_path / "e.h5", random_episode(steps=40))
    before = (tmp_path / "e.h5").read_bytes()
    assert len(before) > 30_000
    monkeypatch.setattr(hdf5_in_memory.os, "sendfile", Full(room))
    with pytest.raises(OSError, match="No space left on device"):
        write_episode(tmp_path / "e.h5", random_episode(seed=1, steps=40))
    assert (tmp_path / "e.h5").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


ON_A_FULL_DISK = """
    import sys
    from pathlib import Path

    import numpy as np

    from ocrrl.episodes.episode_store import EpisodeWriter, read_episode, write_episode
    from tests.episodes.test_hdf5_in_memory import record
    from tests.episodes.toy_episodes import random_episode

    folder, ended = Path(sys.argv[1]), []
    write_episode(folder / "first.h5", random_episode())
    for compress in (True, False):
        writer = EpisodeWriter(folder / "second.h5", compress)
        try:
            if compress:
                noise = np.random.default_rng(0).integers(0, 256, (500, 64, 64, 3), np.uint8)
                writer.append_images({"front": noise, "wrist": noise})
                writer.finish(random_episode().attributes)
            else:
                record(writer, 2000, (64, 64, 3))
        except OSError as error:
            ended.append(error.strerror)
        writer.discard() if compress else writer.abandon()
    read_episode(folder / "first.h5")
    try:
        with (folder / "fill").open("wb", buffering=0) as fill:
            while True:
                fill.write(bytes(4096))
    except OSError:
        try:
            EpisodeWriter(folder / "third.h5")
        except OSError as error:
            ended.append(str(error).replace(str(folder), ""))
    print(ended, sorted(path.name for path in folder.iterdir()))
"""


def test_libhdf5_outlives_a_file_system_that_is_full(tmp_path):
    """On one of 4 MB; the plain writer ends with SIGSEGV there."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = f"mount -t tmpfs -o size=4m tmpfs {folder}"
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-m", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("a small file system must be mounted for this, which this user or container may not")
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(ON_A_FULL_DISK))
    command = [unshare, "-m", "sh", "-c", f"{mount} && {sys.executable} {script} {folder}; echo code $?"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    full = "No space left on device"
    ended = [full, full, f"[Errno 28] {full}: '/.third.h5.partial'"]
    left = [".second.h5.partial", "fill", "first.h5"]
    assert done.stdout == f"{ended} {left}\ncode 0\n", done.stderr


def test_what_is_not_closed_is_let_go_of(tmp_path):
    opened = len(list(Path("/proc/self/fd").iterdir()))
    for name in "abc":
        writer = EpisodeWriter(tmp_path / name)
        record(writer, 2)
        writer.discard()
        writer.abandon()  # once more, as a session does
    write_episode(tmp_path / "e.h5", random_episode())
    assert len(read_episode(tmp_path / "e.h5")) > 0
    assert len(list(Path("/proc/self/fd").iterdir())) == opened
