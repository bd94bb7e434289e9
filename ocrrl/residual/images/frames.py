"""The images of decisions, each kept once, as uint8: a replay buffer's rows hold their numbers.

A decision's images are what the one before led to, and what the one n decisions before bootstraps from; in rows they would be kept
twice. They lie in a file of the run's work folder that is mapped into memory, so that a checkpoint need not copy them.
With them the objects' true positions from the gripper, for `images.position_loss`.
Legend: n frames of C cameras, height H and width W; three offsets an object.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from ocrrl.interface.cameras import CameraSizes
from ocrrl.interface.observations import Images

FILE = "frames.u8"
_GROWS_BY = 1024  # frames
MOST = 2**24
"""Frames; a larger number is not exact in a row's float32."""


def frame_bytes(cameras: CameraSizes) -> int:
    """Of one frame, an image of each camera."""
    return sum(3 * height * width for height, width in cameras.values())


class FrameStore:
    """Frames by number, counted from 0; they are never overwritten."""

    def __init__(self, folder: Path, cameras: CameraSizes, objects: int) -> None:
        """`cameras` have images of one size."""
        self._path, self._cameras = folder / FILE, tuple(cameras)
        ((height, width),) = set(cameras.values())
        self._shape, self._bytes = (len(cameras), height, width, 3), frame_bytes(cameras)
        self._frames = np.zeros((0, *self._shape), np.uint8)
        self.offset_dim = 3 * objects
        self._offsets = np.zeros((0, self.offset_dim), np.float32)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, images: Images, offsets: Float[np.ndarray, "n offsets"]) -> Int[np.ndarray, " n"]:
        """Keep n frames, an image of each camera in each, and where each object truly is from the gripper [m]; their numbers."""
        frames = np.stack([images[name] for name in self._cameras], axis=1)
        numbers = np.arange(self._count, self._count + len(frames))
        if self._count + len(frames) > MOST:
            raise ValueError(f"a run must keep at most {MOST} frames, got more: lower train_residual.total_timesteps")
        if self._count + len(frames) > len(self._frames):
            self._map(self._count + len(frames) + _GROWS_BY, fresh=self._count == 0)
        self._frames[numbers] = frames
        self._offsets[numbers] = offsets
        self._count += len(frames)
        return numbers

    def take(self, numbers: Int[np.ndarray, " n"]) -> UInt8[np.ndarray, "n C H W 3"]:
        """Copies of frames."""
        return np.take(self._frames, numbers, axis=0)

    def offsets(self, numbers: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n offsets"]:
        """As they were added."""
        return self._offsets[numbers]

    def get_state(self) -> dict[str, np.ndarray]:
        """How many there are, and their offsets; the frames themselves are in the file from here on."""
        if isinstance(self._frames, np.memmap):
            self._frames.flush()
        return {"count": np.array(self._count), "offsets": self._offsets[: self._count].copy()}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from `get_state`; ValueError where the file has been cut since."""
        count = int(state["count"])
        there = self._path.stat().st_size // self._bytes if self._path.is_file() else 0
        if there < count:
            raise ValueError(
                f"{self._path} must hold {count} frames, got {there}; remove its folder, and the training starts anew"
            )
        self._count = count
        if count:
            self._map(there, fresh=False)
            self._offsets[:count] = state["offsets"]

    def _map(self, capacity: int, fresh: bool) -> None:
        """Map the first `capacity` frames of the file, which grows to that size; `fresh`: what an earlier run left goes."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("wb" if fresh else "r+b") as file:
            file.truncate(capacity * self._bytes)
        self._frames = np.memmap(self._path, np.uint8, "r+", shape=(capacity, *self._shape))
        grown = np.zeros((capacity, self._offsets.shape[1]), np.float32)
        grown[: len(self._offsets)] = self._offsets
        self._offsets = grown


def shifted(
    frames: UInt8[np.ndarray, "n C H W 3"], most: int, offsets: Int[np.ndarray, "n 2"]
) -> UInt8[np.ndarray, "n C H W 3"]:
    """Frames moved by `offsets` in [0, 2 `most`] less `most` pixels down and right, their border repeated (Yarats et al. 2021)."""
    if not most:
        return frames
    height, width = frames.shape[2:4]
    padded = np.empty((*frames.shape[:2], height + 2 * most, width + 2 * most, 3), np.uint8)
    padded[:, :, most:-most, most:-most] = frames
    padded[:, :, :most, most:-most] = frames[:, :, :1]
    padded[:, :, -most:, most:-most] = frames[:, :, -1:]
    padded[:, :, :, :most] = padded[:, :, :, most : most + 1]
    padded[:, :, :, -most:] = padded[:, :, :, -most - 1 : -most]
    out = np.empty_like(frames)
    for i, (down, right) in enumerate(offsets.tolist()):
        out[i] = padded[i, :, down : down + height, right : right + width]
    return out
