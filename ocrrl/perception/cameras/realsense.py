"""pyrealsense2: imported here and nowhere else, and only when a RealSense camera is used; who gives its framesets."""

from types import ModuleType
from typing import Any, Protocol

type FrameSet = Any
"""A `pyrealsense2.composite_frame`; the library ships no types."""


def realsense() -> ModuleType:
    """The module pyrealsense2; RuntimeError with the remedy where it is not installed."""
    try:
        import pyrealsense2
    except ImportError as error:
        raise RuntimeError(
            "a RealSense camera needs pyrealsense2 (`uv pip install 'ocrrl[robot]'`) and the system's libusb "
            f"(`apt-get install libusb-1.0-0`): {error}"
        ) from error
    return pyrealsense2


class FrameSets(Protocol):
    """A stream of framesets: of a camera, a recording or a software device. One thread waits for them."""

    @property
    def serial(self) -> str:
        """Of the camera, for messages and to find its calibration."""
        ...

    @property
    def has_depth(self) -> bool:
        """Whether a frameset must hold depth beside colour."""
        ...

    def wait(self, timeout: float) -> FrameSet | None:
        """The next frameset, None when none comes within `timeout` [s]; RuntimeError when there will be no more."""
        ...

    def close(self) -> None:
        """End the stream; called when nobody waits any more."""
        ...
