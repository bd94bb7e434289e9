"""Disk cache of decoded frames: decoded once per dataset, published whole, read by later runs.

`<cache>/<key>/` holds a file of raw RGB for each camera and `frames.json`. The key is a fingerprint of the dataset's files and
of the code that decodes them. A folder is written as `<key>.partial` and renamed when it is complete and on the disk. Whoever
writes or reads one holds its lock file, so that nobody removes it; the system gives a lock back when its process ends.
"""

import fcntl
import json
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import av
import numpy as np

from ocrrl import files
from ocrrl.datasets import video_file
from ocrrl.datasets.frames import decoding, frame_rows
from ocrrl.datasets.frames.decoding import DatasetFrames
from ocrrl.datasets.frames.frame_rows import FrameFile, Frames

KEPT_BYTES = 20_000_000_000
"""How much older caches may take beside the one that is being read; those not used for longest are dropped first."""

_LIST = "frames.json"
_LOCK = "lock"
_CODE = [Path(str(module.__file__)) for module in (decoding, frame_rows, video_file)]


def cached_frames(
    root: Path, episodes: Sequence[int] | None, frames: DatasetFrames, cache: Path, kept_bytes: int = KEPT_BYTES
) -> Mapping[str, Frames]:
    """The frames of the dataset at `root`, of its `episodes` or all, by camera; decoded to `cache` if they are not there.

    Older versions of the same dataset are dropped, others where all of them are more than `kept_bytes` or the disk is too
    full. RuntimeError where the frames do not fit on the disk even so; ValueError as from `DatasetFrames.decode`.
    """
    name = str(root.absolute()) if episodes is None else f"{root.absolute()} {sorted(episodes)}"
    key = files.fingerprint(root, None if episodes is None else sorted(episodes), *_CODE, av.__version__)
    cache.mkdir(parents=True, exist_ok=True)
    while (found := _opened(cache / key, frames.cameras)) is None:
        _write(cache / key, name, frames)
    _drop_old(cache, cache / key, name, kept_bytes)
    return found


def _opened(folder: Path, cameras: Sequence[str]) -> dict[str, Frames] | None:
    """The frames in `folder`; None where it is not there, or is not what was written: then it is removed."""
    if not folder.is_dir() or (lock := _locked(folder, fcntl.LOCK_SH)) is None:
        return None
    opened: dict[str, Frames] = {}
    try:
        listed = json.loads((folder / _LIST).read_text())["cameras"]
        for camera in cameras:
            name, shape = listed[camera]
            opened[camera] = FrameFile(folder / name, tuple(shape), lock)
    except (OSError, ValueError, KeyError, TypeError) as error:
        opened.clear()
        lock.close()
        if not _removed(folder):
            raise RuntimeError(
                f"{folder} must hold decoded frames, got {error!r}; it is in use: end the other run, then delete the folder"
            ) from error
        return None
    os.utime(folder / _LIST)  # last use
    return opened


def _write(folder: Path, dataset: str, frames: DatasetFrames) -> None:
    """Decode into `folder`; nothing is done where another process did it meanwhile."""
    partial = folder.with_name(f"{folder.name}.partial")
    partial.mkdir(exist_ok=True)
    if (lock := _locked(partial, fcntl.LOCK_EX)) is None:
        return
    with lock:
        if folder.exists():
            shutil.rmtree(partial)
            return
        try:
            _fill(partial, dataset, frames)
            partial.rename(folder)
        except BaseException:
            shutil.rmtree(partial)
            raise


def _fill(partial: Path, dataset: str, frames: DatasetFrames) -> None:
    for left in partial.iterdir():  # of a run that was killed
        if left.name != _LOCK:
            left.unlink()
    shapes = {camera: frames.shape(camera) for camera in frames.cameras}
    _make_room(partial, sum(math.prod(shape) for shape in shapes.values()), dataset)
    cameras = {camera: (f"{number}.rgb", shape) for number, (camera, shape) in enumerate(shapes.items())}
    for camera, (name, _) in cameras.items():
        _decode(frames, camera, partial / name)
    files.write_json(partial / _LIST, {"dataset": dataset, "cameras": cameras})


def _decode(frames: DatasetFrames, camera: str, path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for row, frame in frames.decode(camera):
            content, offset = memoryview(np.ascontiguousarray(frame)).cast("B"), row * frame.nbytes
            while content:
                written = os.pwrite(file.fileno(), content, offset)
                content, offset = content[written:], offset + written
        os.fsync(file.fileno())


def _make_room(partial: Path, needed: int, dataset: str) -> None:
    cache = partial.parent
    for old in _by_last_use(cache):
        if shutil.disk_usage(cache).free < needed:
            _removed(old)
    free = shutil.disk_usage(cache).free
    if free < needed:
        raise RuntimeError(
            f"the decoded frames of {dataset} need {needed / 1e9:.1f} GB of disk, got {free / 1e9:.1f} GB free at "
            f"{cache.absolute()}: free some (`make gc`, docs/dvc.md), or make {cache} a link to a folder on a larger disk"
        )


def _drop_old(cache: Path, current: Path, dataset: str, kept_bytes: int) -> None:
    others = {folder: _size(folder) for folder in _by_last_use(cache) if folder != current}
    for folder, size in list(others.items()):
        superseded = folder.suffix == ".partial" or _dataset_of(folder) == dataset
        if (superseded or sum(others.values()) > kept_bytes) and _removed(folder):
            others[folder] -= size


def _by_last_use(cache: Path) -> list[Path]:
    """The folders in `cache`, half-written ones first, then the one not used for longest."""
    used = {}
    for folder in cache.iterdir():
        if folder.is_dir():
            try:
                used[folder] = (folder / _LIST).stat().st_mtime
            except FileNotFoundError:
                used[folder] = 0.0
    return sorted(used, key=lambda folder: (used[folder], folder))


def _size(folder: Path) -> int:
    try:
        return sum(file.stat().st_size for file in folder.iterdir())
    except FileNotFoundError:  # another process removed it
        return 0


def _dataset_of(folder: Path) -> str | None:
    try:
        return json.loads((folder / _LIST).read_text())["dataset"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _removed(folder: Path) -> bool:
    """Remove `folder` unless a process reads or writes it; whether it is gone."""
    if not folder.exists():
        return True
    if (lock := _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)) is None:
        return False
    with lock:
        going = folder.with_name(f"{folder.name}.{os.getpid()}.partial")  # at once: a folder is whole, or not there
        folder.rename(going)
        shutil.rmtree(going)
    return True


def _locked(folder: Path, operation: int) -> IO | None:
    """The lock file of `folder`, locked; None where another process holds it, or has moved or removed the folder meanwhile."""
    try:
        lock = (folder / _LOCK).open("a")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, operation)
        if (folder / _LOCK).stat().st_ino == os.fstat(lock.fileno()).st_ino:
            return lock
    except (FileNotFoundError, BlockingIOError):
        pass
    lock.close()
    return None
