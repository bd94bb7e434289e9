"""Images for a camera in software, and a clock to read it by."""

import re
import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from ocrrl.interface.frames import Frame, Intrinsics
from ocrrl.perception.cameras.realsense_reader import RealSenseReader
from ocrrl.perception.cameras.software_camera import SoftwareCamera

SMALL = Intrinsics(160, 120, 150.0, 150.0, 80.0, 60.0)


class Clock:
    """The arm's clock, moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Images:
    """Noise, a new image each time, with a time stamp of the device's own."""

    def __init__(self, camera: SoftwareCamera, intrinsics: Intrinsics = SMALL) -> None:
        self.camera, self.timestamp = camera, 7.0
        self._shape = (intrinsics.height, intrinsics.width)
        self._generator = np.random.default_rng(0)

    def push(self, seconds: float = 1 / 30) -> np.ndarray:
        self.timestamp += seconds
        colour = self._generator.integers(0, 256, (*self._shape, 3), dtype=np.uint8)
        depth = np.full(self._shape, 0.5, np.float32) if self.camera.has_depth else None
        self.camera.push(colour, depth, self.timestamp)
        return colour


def shown(reader: RealSenseReader, after: float = -np.inf):
    """The first frame taken later than `after`, waited for."""
    end = time.monotonic() + 5.0
    while time.monotonic() < end:
        frame = reader.latest()
        if frame is not None and frame.captured > after:
            return frame
        time.sleep(0.002)
    raise AssertionError("no new frame was shown")


def back(reader: RealSenseReader, failed: Frame) -> None:
    """Wait until a reader that failed after the frame `failed` shows another one."""
    end = time.monotonic() + 5.0
    while time.monotonic() < end:
        with suppress(RuntimeError):
            if reader.latest() is not failed:
                return
        time.sleep(0.002)
    raise AssertionError("no new frame was shown")


def fails(reader: RealSenseReader, message: str, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Wait until `latest` raises RuntimeError with `message`, a pattern; `meanwhile` is called before each look."""
    end, said = time.monotonic() + 5.0, ""
    while time.monotonic() < end:
        meanwhile()
        try:
            reader.latest()
        except RuntimeError as error:
            said = str(error)
            if re.search(message, said):
                return
        time.sleep(0.02)
    raise AssertionError(f"must fail with {message}, got {said or 'no failure'}")
