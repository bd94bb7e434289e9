"""The protocol of an open camera."""

import time
from collections.abc import Callable
from typing import Protocol

from ocrrl.interface.frames import Frame

POLL = 0.02  # [s] between two looks for a first frame


class FrameSource(Protocol):
    """A camera that is open; `latest` never waits."""

    def latest(self) -> Frame | None:
        """The newest frame, the same one again until there is a newer; None before the first.

        Raises RuntimeError when the camera is lost or its images have stopped changing.
        """
        ...

    def close(self) -> None:
        """Let go of the camera."""
        ...


def first_frame(frames: FrameSource, sleep: Callable[[float], None] = time.sleep) -> Frame:
    """The camera's first frame; RuntimeError, with the camera's own words, when there comes none."""
    while (frame := frames.latest()) is None:
        sleep(POLL)
    return frame
