"""Checks the output folders of a stage before it begins, so that a read-only disk is found early."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ocrrl import files
from ocrrl.error_line import disk_is_full
from ocrrl.layout import WORK

SPARE = 20_000_000
"""Bytes that must be free on every disk that a stage writes to, beside the size of what it replaces."""


@contextmanager
def prepared(stage: str, outs: Sequence[Path], reads: Sequence[Path] = ()) -> Iterator[None]:
    """For the body, `outs` can be written by `stage`, and no publishing to them or to what it `reads` is broken off.

    An error in the body removes what is half built beside them. RuntimeError where a folder cannot be written, OSError (ENOSPC)
    where the old ones leave no room for the new ones.
    """
    for folder in dict.fromkeys((WORK, *(out.parent for out in outs))):
        _require_writable(stage, folder)
    for place in (*reads, *outs):
        files.settle(place)
    _require_room(stage, outs)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # the error is what counts; what stays is removed by the next run
            for out in outs:
                files.remove(out.with_name(f".{out.name}.partial"))
        raise


def _require_writable(stage: str, folder: Path) -> None:
    probe = folder / f".writable-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"probe")
    except OSError as error:
        if disk_is_full(error):
            raise OSError(error.errno, f"{error.strerror}, {stage} writes to it", str(folder)) from error
        raise RuntimeError(
            f"{stage} writes to {folder} when its work is done: that must be a folder that this user can write to, got: "
            f"{error.strerror}; mount it for writing, or give the user the right, then run it again"
        ) from error
    finally:
        with suppress(OSError):  # a full disk leaves an empty one
            probe.unlink()


def _require_room(stage: str, outs: Sequence[Path]) -> None:
    needed: Counter[int] = Counter()
    where = {}
    for folder, size in ((WORK, 0), *((out.parent, files.size_of(out)) for out in outs)):
        disk = folder.stat().st_dev
        needed[disk] += size
        where[disk] = folder
    for disk, folder in where.items():
        files.require_room(folder, needed[disk] + SPARE, f"{stage}, beside what it replaces,")
