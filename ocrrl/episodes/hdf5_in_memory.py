"""An HDF5 file that libhdf5 writes to memory and that Python copies to disk, so that a full disk is an `OSError`.

libhdf5 does not survive a write that fails: its next flush ends the process (SIGSEGV), and with it the watchdog of an arm.
Here libhdf5's file descriptor is that of a memory file (Linux, `memfd_create`), where a write finds no full disk. `flush`
copies what is new to the disk; frames that are there are given back to memory. The bytes on disk are those that libhdf5
would have written.

A copy that fails spoils nothing: room is reserved first, then what lies beyond the end of the last flush is copied, and what
is overwritten before that end comes last. The file on disk stays readable as of the last flush that succeeded.
"""

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import h5py

from ocrrl.episodes.hdf5_access import dataset_at

_PAGE = 4096
_LARGE = 64 * 1024
"""Bytes of a chunk from which on it is copied as soon as it is there, and not at the next flush: 37 MB at once take 20 ms."""
_PUNCH_HOLE = 0x02 | 0x01  # fallocate: FALLOC_FL_PUNCH_HOLE with FALLOC_FL_KEEP_SIZE
_fallocate = ctypes.CDLL(None, use_errno=True).fallocate
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)

Extent = tuple[int, int]
"""First byte, and the one after the last."""


class Hdf5InMemory:
    """A new HDF5 file at `path`; `file` is h5py's. OSError naming `path` where the disk cannot take it."""

    def __init__(self, path: Path) -> None:
        self._path, self._flushed, self._seen = path, 0, 0
        self._ahead: list[Extent] = []  # copied since the last flush
        self._known: dict[str, int] = {}  # chunks of each dataset of frames that are on disk
        try:
            self.file = h5py.File(path, "w", track_order=False)
        except OSError as error:
            if error.errno is None:
                raise
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        self._disk = path.open("rb+", buffering=0)
        self._memory = os.fdopen(os.memfd_create(path.name), "rb+", buffering=0)
        self._memory.write(self._disk.read())  # the superblock
        os.dup2(self._memory.fileno(), self.file.id.get_vfd_handle(), inheritable=False)

    def copy_ahead(self) -> None:
        """Copy what libhdf5 has added to the end of the file since it was last looked at."""
        end = os.fstat(self._memory.fileno()).st_size
        start = max(self._seen, self._flushed)
        if end - start >= _LARGE:
            for first, last in self._written(start, end):
                self._copy(first, last)
                self._ahead.append((first, last))
            self._seen = end

    def flush(self, frames: h5py.Group) -> None:
        """Bring the disk up to date. The chunks of the datasets in `frames` are never read or written again."""
        self.file.flush()
        chunks, ahead = self._new_chunks(frames), _joined(self._ahead)
        self._give_back([chunk for chunk in chunks if any(a <= chunk[0] and chunk[1] <= b for a, b in ahead)])
        self._commit()
        self._give_back(chunks)

    def close(self) -> None:
        """Finish the file: on disk for good, when this returns."""
        self._close(complete=True)

    def abandon(self) -> None:
        """Close the file as far as it came; on a full disk it stays as of the last flush. Raises nothing."""
        with suppress(OSError):
            self._close(complete=False)

    def _close(self, complete: bool) -> None:
        if self._memory.closed:
            return
        try:
            self.file.close()
            self._commit()
            if complete:
                os.fsync(self._disk.fileno())
        finally:
            self._memory.close()
            self._disk.close()

    def _commit(self) -> None:
        end = os.fstat(self._memory.fileno()).st_size
        self._reserve(self._flushed, end)
        for first, last in (*self._written(self._flushed, end), *self._written(0, self._flushed)):
            self._copy(first, last)
        self._disk.truncate(end)
        self._flushed, self._seen, self._ahead = end, end, []

    def _reserve(self, first: int, last: int) -> None:
        """Have room on the disk, also for what libhdf5 may write there later: what is overwritten then needs none."""
        if first < last and _fallocate(self._disk.fileno(), 0, first, last - first):
            code = ctypes.get_errno()
            if code in (errno.ENOSPC, errno.EDQUOT):  # file systems that cannot reserve are used as they are
                raise OSError(code, os.strerror(code), str(self._path))

    def _written(self, start: int, end: int) -> Iterator[Extent]:
        """The parts of the memory file between `start` and `end` that hold something, in whole pages but at both ends."""
        while start < end:
            try:
                first = self._memory.seek(start, os.SEEK_DATA)
            except OSError:  # nothing up to the end of the file
                return
            if first >= end:
                return
            start = min(self._memory.seek(first, os.SEEK_HOLE), end)
            yield first, start

    def _copy(self, first: int, last: int) -> None:
        try:
            self._disk.seek(first)
            while first < last:
                first += os.sendfile(self._disk.fileno(), self._memory.fileno(), first, last - first)
        except OSError as error:
            raise OSError(error.errno, os.strerror(error.errno or 0), str(self._path)) from error

    def _new_chunks(self, frames: h5py.Group) -> list[Extent]:
        """Where the chunks lie that the datasets in `frames` have got since the last flush."""
        found = []
        for name in sorted(frames):
            dataset = dataset_at(frames, name)
            for row in range(self._known.get(name, 0), dataset.shape[0]):
                chunk = dataset.id.get_chunk_info_by_coord((row, *(0 for _ in dataset.shape[1:])))
                found.append((chunk.byte_offset, chunk.byte_offset + chunk.size))
            self._known[name] = dataset.shape[0]
        return found

    def _give_back(self, extents: list[Extent]) -> None:
        """Free the memory of the pages that lie in `extents` and nowhere else."""
        for first, last in _joined(extents):
            first, last = -(-first // _PAGE) * _PAGE, last // _PAGE * _PAGE
            if first < last:
                # A kernel that cannot do this keeps the memory until the file is closed.
                _fallocate(self._memory.fileno(), _PUNCH_HOLE, first, last - first)


def _joined(extents: list[Extent]) -> list[Extent]:
    """`extents` in order, those that touch as one."""
    joined: list[Extent] = []
    for first, last in sorted(extents):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined
