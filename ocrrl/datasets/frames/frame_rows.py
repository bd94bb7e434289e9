"""Frames by number, from memory, one file, or several files as one.

Legend: F frames, n frames that are asked for.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Protocol

import numpy as np
from jaxtyping import UInt8

type Rows = slice | np.ndarray
"""Which frames: a slice, their numbers, or a mask of length F."""


class Frames(Protocol):
    """RGB frames (F, H, W, 3) uint8; a numpy array is one."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Rows, /) -> UInt8[np.ndarray, "n H W 3"]: ...


class FrameFile:
    """Frames in a file of raw bytes, each read when it is asked for.

    The file is read and not mapped: pages of a mapped file count as memory of the process, up to the whole file. It stays
    open, so that it can be read to the end though another process removes it.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], lock: IO | None = None) -> None:
        """`shape` is (F, H, W, 3); `lock` stays open as long as this object lives.

        ValueError where the file has not the bytes of that many frames.
        """
        self._lock = lock
        self.path, self.shape = path, tuple(shape)
        self._file = path.open("rb", buffering=0)
        self._numbers = np.arange(self.shape[0])
        self._frame_bytes = int(np.prod(self.shape[1:]))
        found, needed = os.fstat(self._file.fileno()).st_size, self._frame_bytes * len(self)
        if found != needed:
            raise ValueError(f"{path} must hold {needed} bytes, got {found}")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Rows, /) -> UInt8[np.ndarray, "n H W 3"]:
        """The frames of `rows`; OSError where the file was cut after it was opened."""
        numbers = self._numbers[rows]
        frames = np.empty((len(numbers), *self.shape[1:]), np.uint8)
        for frame, number in zip(frames, numbers.tolist(), strict=True):
            self._read(memoryview(frame).cast("B"), number * self._frame_bytes)
        return frames

    def _read(self, into: memoryview, offset: int) -> None:
        done = 0
        while done < len(into):
            count = os.preadv(self._file.fileno(), [into[done:]], offset + done)
            if count == 0:
                raise OSError(f"{self.path} was cut while it was read: delete {self.path.parent}, then run it again")
            done += count


class ChosenFrames:
    """The frames of `frames` with the numbers `chosen`, in that order; none is copied before it is asked for."""

    def __init__(self, frames: Frames, chosen: np.ndarray) -> None:
        self._frames, self._chosen = frames, chosen
        self.shape = (len(chosen), *frames.shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Rows, /) -> UInt8[np.ndarray, "n H W 3"]:
        return self._frames[self._chosen[rows]]


class JoinedFrames:
    """The frames of all `parts`, numbered on; none is copied before it is asked for."""

    def __init__(self, parts: Sequence[Frames]) -> None:
        self._parts = parts
        self._first = np.cumsum([0, *(len(part) for part in parts)])
        self._numbers = np.arange(self._first[-1])
        self.shape = (len(self._numbers), *parts[0].shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Rows, /) -> UInt8[np.ndarray, "n H W 3"]:
        numbers = self._numbers[rows]
        owner = np.searchsorted(self._first, numbers, side="right") - 1
        frames = np.empty((len(numbers), *self.shape[1:]), np.uint8)
        for part in np.unique(owner):
            inside = owner == part
            frames[inside] = self._parts[part][numbers[inside] - self._first[part]]
        return frames
