"""Atomic, reproducible writing of files and folders; a lock for one process at a time."""

import errno
import fcntl
import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that a crash leaves the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def write_json(path: Path, value: Any) -> None:
    """Write `value` as `json_bytes`, whole or not at all."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """`value` as JSON with sorted keys; a NaN or infinity becomes null."""
    text = json.dumps(_without_nan(value), indent=2, sort_keys=True, allow_nan=False)
    return (text + "\n").encode()


def publish(work: Path, out: Path) -> None:
    """Move the finished folder or file `work` to `out`, on any file system; what is there is removed last.

    A kill or an error at any moment leaves the old `out` or the new one, whole; the next call, or `settle`, finishes what
    was broken off. On another file system `work` is copied first, and needs that much space beside the old one.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    settle(out)
    replaces = os.path.lexists(out)
    if replaces:
        _sync(work)
    incoming = _beside(out, "incoming")
    try:
        work.rename(incoming if replaces else out)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy(work, _beside(out, "copying"))
        _beside(out, "copying").rename(incoming)
    settle(out)
    if os.path.lexists(work):
        remove(work)


def settle(out: Path) -> None:
    """Finish a `publish` to `out` that was broken off, and clear what it left behind; nothing to do where none was."""
    copying, incoming, replaced, removed = (
        _beside(out, what) for what in ("copying", "incoming", "replaced", "removed")
    )
    if os.path.lexists(incoming):  # whole: it got this name when it was
        if os.path.lexists(out):
            _discard(replaced, removed)
            out.rename(replaced)
        incoming.rename(out)
    elif os.path.lexists(replaced) and not os.path.lexists(out):
        replaced.rename(out)
    _discard(replaced, removed)
    remove(copying)


def _beside(out: Path, what: str) -> Path:
    return out.with_name(f".{out.name}.{what}")


def _copy(work: Path, copying: Path) -> None:
    require_room(copying.parent, size_of(work), f"the copy of {work} beside what it replaces")
    parts = [Path(), *(part.relative_to(work) for part in sorted(work.rglob("*")))] if work.is_dir() else [Path()]
    try:
        for part in parts:
            if (work / part).is_dir() and not (work / part).is_symlink():
                (copying / part).mkdir()
            else:
                shutil.copy2(work / part, copying / part, follow_symlinks=False)
        _sync(copying)
    except BaseException:
        remove(copying)
        raise


def _sync(path: Path) -> None:
    """Return once `path`, a file or a folder with all that is in it, is on the disk."""
    for part in (path, *(path.rglob("*") if path.is_dir() else ())):
        if part.is_symlink():
            continue
        descriptor = os.open(part, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _discard(replaced: Path, removed: Path) -> None:
    """Remove `replaced`; under another name first, so that a part of it is never taken for the whole."""
    remove(removed)
    if os.path.lexists(replaced):
        replaced.rename(removed)
        remove(removed)


def size_of(path: Path) -> int:
    """Bytes of the file `path`, or of all that is in the folder; 0 where there is none."""
    if not os.path.lexists(path):
        return 0
    inside = path.rglob("*") if path.is_dir() and not path.is_symlink() else ()
    return sum(part.lstat().st_size for part in (path, *inside))


def require_room(folder: Path, needed: int, purpose: str) -> None:
    """OSError (ENOSPC) where the disk of `folder` has less than `needed` bytes free for `purpose`."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    disk = os.statvfs(there)
    free = disk.f_bavail * disk.f_frsize
    if disk.f_blocks and free < needed:  # some file systems count nothing
        got = f"{free / 1e6:.0f} MB are free"
        raise OSError(errno.ENOSPC, f"{purpose} needs {needed / 1e6:.0f} MB on the disk of {folder}, {got}")


def remove(path: Path) -> None:
    """Remove the file, link or folder `path`, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def fresh_folder(folder: Path) -> Path:
    """`folder`, empty, whatever it held before."""
    remove(folder)
    folder.mkdir(parents=True)
    return folder


@contextmanager
def locked(path: Path, busy: str = "") -> Iterator[None]:
    """Hold the lock file `path` for the body; wait for it, or with `busy` raise RuntimeError(busy) where it is held.

    The system releases it when the process ends.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError as error:
            raise RuntimeError(busy) from error
        yield


def fingerprint(*parts: Any) -> str:
    """Sixteen hex digits over `parts`: paths count by their files' names and contents, the rest by its repr."""
    digest = hashlib.sha256()
    for part in parts:
        if not isinstance(part, Path):
            digest.update(repr(part).encode())
            continue
        files = sorted(f for f in part.rglob("*") if f.is_file()) if part.is_dir() else [part]
        for file in files:
            digest.update((file.name if file == part else str(file.relative_to(part))).encode())
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]


def code_fingerprint() -> str:
    """Fingerprint of the library's source, so that no work of older code is gone on with."""
    return fingerprint(*sorted(Path(__file__).parent.rglob("*.py")))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
