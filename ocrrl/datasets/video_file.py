"""MP4 video files of RGB frames: reproducible encoding, in-order decoding."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import av
import av.logging
import numpy as np
from jaxtyping import UInt8

CODEC = "h264"
PIXEL_FORMAT = "yuv444p"  # full chroma keeps small coloured objects sharp
KEYFRAME_EVERY = 2  # frames; LeRobot's readers seek to single frames
CONSTANT_RATE_FACTOR = 18
# From `veryfast` on x264 looks ahead in a thread of its own, and two encodings of one video differ; `superfast` does
# not, and takes a fifth of AV1's time.
PRESET = "superfast"


@dataclass(frozen=True)
class VideoEncoding:
    """How frames become H.264; the values of our own datasets where nothing else is said."""

    encoder: str = CODEC
    pixel_format: str = PIXEL_FORMAT
    constant_rate_factor: int = CONSTANT_RATE_FACTOR
    """0 is without loss but for the conversion to `pixel_format`."""


OURS = VideoEncoding()


class VideoWriter:
    """Encodes frames (H, W, 3) uint8 RGB, one after the other, into the MP4 file `path` at `fps`."""

    def __init__(self, path: Path, fps: int, height: int, width: int, encoding: VideoEncoding = OURS) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        av.logging.set_level(av.logging.FATAL)
        self._container = av.open(str(path), "w")
        options = {
            "g": str(KEYFRAME_EVERY),
            "bf": "0",
            "crf": str(encoding.constant_rate_factor),
            "preset": PRESET,
            "threads": "1",
        }
        stream = self._container.add_stream(encoding.encoder, fps, options=options)
        assert isinstance(stream, av.VideoStream)
        self._stream = stream
        self._stream.pix_fmt = encoding.pixel_format
        self._stream.height, self._stream.width = height, width

    def append(self, frames: UInt8[np.ndarray, "n H W 3"]) -> None:
        """Add `frames` in order."""
        for frame in frames:
            image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            self._container.mux(self._stream.encode(image))

    def close(self) -> None:
        """Finish the file; OSError where the disk does not take it."""
        self._container.mux(self._stream.encode())
        self._container.close()

    def abandon(self) -> None:
        """Let go of a file that is not to be finished."""
        with suppress(OSError):  # a full disk is said once; PyAV would print it again where nobody catches it
            self._container.close()


def decode_video(path: Path, fps: float, frames: range) -> Iterator[tuple[int, UInt8[np.ndarray, "H W 3"]]]:
    """The frames of `path` whose numbers (presentation time x `fps`) are in `frames`, in order, with their numbers."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if frames.start > 0 and stream.time_base:
            container.seek(round((frames.start - 1) / fps / stream.time_base), stream=stream, backward=True)
        for frame in container.decode(stream):
            number = -1 if frame.time is None else round(frame.time * fps)
            if number in frames:
                yield number, frame.to_ndarray(format="rgb24")
            if number >= frames.stop - 1:
                return
