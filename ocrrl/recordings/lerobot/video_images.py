"""Frames of a dataset's videos: each decoded once, in order, and assigned to the row with its timestamp.

Legend: n rows of an episode; times in seconds from the file's start.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import av
import av.error
import av.logging
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from jaxtyping import Float, UInt8

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.recordings.lerobot.dataset_files import DatasetFiles
from ocrrl.recordings.lerobot.parquet_rows import one_line
from ocrrl.recordings.lerobot.stored_images import MAX_PIXELS

TOLERANCE = 0.4
"""Of a frame's duration, by which a frame's time may differ from its row's: nearer to this row than to its neighbours."""
# A file that a dataset calls a video must be one: no playlist, which would have FFmpeg open other files and addresses.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS}
_WITH_CHECKSUMS = ("ffv1", "hevc")  # their decoders hide the damage that the checksums show, and only complain
_NEAR = 5.0  # [s] that are decoded and passed over rather than sought


@dataclass(frozen=True)
class _Decoded:
    time: float
    frame: VideoFrame
    is_damaged: bool


class VideoReader:
    """The images of one video file, read on from where the last reading ended."""

    def __init__(self, files: DatasetFiles, relative: str, fps: float, first_time: float) -> None:
        """`first_time`: when the file's first episode begins; a file whose frames begin later is taken to begin then."""
        self._files, self.relative, self._fps, self._first_time = files, relative, fps, first_time
        self._process = os.getpid()
        self._container: InputContainer | None = None
        self._frames: Iterator[_Decoded] = iter(())
        self._current: _Decoded | None = None
        self._ahead: _Decoded | None = None
        self._shift = 0.0

    def close(self) -> None:
        """Close the file; a later reading opens it again."""
        if self._container is not None:
            self._container.close()
        self._container = None

    def frame_count(self) -> int:
        """By the file's own account; 0 where it gives none."""
        return self._opened().streams.video[0].frames

    def size(self, field: str) -> tuple[int, int]:
        """Height and width of its images; raises `EpisodeRejected` for `field` where they cannot be used."""
        stream = self._opened().streams.video[0]
        if not 0 < stream.height * stream.width <= MAX_PIXELS:
            raise self._refused(field, f"images of 1 to {MAX_PIXELS:,} pixels", f"{stream.height} x {stream.width}")
        return stream.height, stream.width

    def images(self, field: str, times: Float[np.ndarray, " n"]) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """One RGB image for each of `times`, which increase; raises `EpisodeRejected` for `field`."""
        height, width = self.size(field)
        self._go_to(float(times[0]))
        taken = -np.inf
        for row, time in enumerate(times):
            passed = self._nearest(float(time))
            found = self._current
            if found is None or abs(found.time - time) > TOLERANCE / self._fps:
                raise self._refused(field, f"an image for each of {len(times)} rows", f"none for row {row}")
            if found.time <= taken:
                raise self._refused(field, "an image for each row", f"the same one for rows {row - 1} and {row}")
            if row and passed:
                raise self._refused(field, "one image for each row", f"{passed + 1} between rows {row - 1} and {row}")
            if found.is_damaged:
                raise self._refused(field, "readable", f"damaged data at row {row}")
            self._check_frame(field, found.frame, height, width)
            taken = found.time
            try:
                image = found.frame.to_ndarray(format="rgb24")
            except (av.error.FFmpegError, ValueError) as error:
                raise self._refused(field, "readable", f"{one_line(error)} at row {row}") from error
            yield image

    def _nearest(self, time: float) -> int:
        """Go on to the frame nearest to `time`; how many lie between it and the frame before."""
        steps = 0
        while self._ahead and (self._current is None or abs(self._ahead.time - time) < abs(self._current.time - time)):
            self._current, self._ahead = self._ahead, next(self._frames, None)
            steps += 1
        return max(0, steps - 1)

    def _go_to(self, time: float) -> None:
        if os.getpid() != self._process:  # a forked child shares the file's position with its parent
            self._process, self._container = os.getpid(), None
        container = self._opened()
        reached = self._current.time if self._current else -np.inf
        if reached <= time <= reached + _NEAR:
            return
        stream = container.streams.video[0]
        start = time - self._shift - 1.0 / self._fps
        if start > 0 and stream.time_base:
            try:
                container.seek(int(start / stream.time_base), stream=stream, backward=True)
            except av.error.FFmpegError:
                self.close()
        else:
            self.close()
        self._begin()
        if self._ahead and self._ahead.time > time - 0.5 / self._fps and start > 0:
            self.close()  # the file's index led too far
            self._begin()

    def _begin(self) -> None:
        self._frames = self._decoded()
        self._current, self._ahead = None, next(self._frames, None)

    def _decoded(self) -> Iterator[_Decoded]:
        """The frames from here on; those that may rest on a damaged packet are marked, up to the next key frame."""
        container = self._opened()
        stream = container.streams.video[0]
        listens = stream.codec_context.name in _WITH_CHECKSUMS
        damaged_from: float | None = None
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:
                return
            if packet is None:
                return
            try:
                frames, complaint = _decode_listening(packet) if listens else (packet.decode(), False)
            except av.error.FFmpegError:
                frames, complaint = [], True
            if complaint:
                time = -np.inf if packet.pts is None or packet.time_base is None else packet.pts * packet.time_base
                damaged_from = min(float(time), np.inf if damaged_from is None else damaged_from)
            for frame in frames:
                if not isinstance(frame, VideoFrame) or frame.time is None:
                    continue
                if damaged_from is not None and frame.key_frame and frame.time > damaged_from:
                    damaged_from = None
                is_damaged = frame.is_corrupt or (damaged_from is not None and frame.time >= damaged_from)
                yield _Decoded(frame.time + self._shift, frame, is_damaged)

    def _opened(self) -> InputContainer:
        if self._container is None:
            self._container = self._open()
            stream = self._container.streams.video[0]
            start = float(stream.start_time * stream.time_base) if stream.start_time and stream.time_base else 0.0
            self._shift = self._first_time - start if start > self._first_time + 0.5 / self._fps else 0.0
            self._current = self._ahead = None
        return self._container

    def _open(self) -> InputContainer:
        path = self._files.find(self.relative, "the video was never written, or not copied")
        av.logging.set_level(av.logging.FATAL)
        try:
            container = av.open(str(path.absolute()), options=_OPTIONS)
        except (av.error.FFmpegError, ValueError) as error:
            said = getattr(error, "strerror", None) or one_line(error)
            got = f"one that cannot be opened: {said} (a recording that was killed, or a copy that was cut short?)"
            raise EpisodeRejected("file", "a whole video", got, self.relative) from error
        if not container.streams.video:
            raise EpisodeRejected("file", "a video", "a file without images", self.relative)
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise EpisodeRejected("file", "a video that FFmpeg can decode", "an unknown codec", self.relative)
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {
            "err_detect": "crccheck+bitstream+buffer+explode",
            "max_pixels": str(MAX_PIXELS),
        }
        return container

    def _check_frame(self, field: str, frame: VideoFrame, height: int, width: int) -> None:
        if (frame.height, frame.width) != (height, width):
            got = f"{frame.height} x {frame.width} after {height} x {width}"
            raise self._refused(field, "of one size", got)
        if got := _not_colour(frame.format):
            raise self._refused(field, "8 bit RGB", got)

    def _refused(self, field: str, required: str, got: str) -> EpisodeRejected:
        rate = self._opened().streams.video[0].average_rate
        if rate and abs(float(rate) / self._fps - 1) > 2e-4:
            got += f" (the video runs at {float(rate):.5g} frames a second, fps in meta/info.json says {self._fps:g})"
        return EpisodeRejected(field, required, got, self.relative)


def _decode_listening(packet: Packet) -> tuple[list, bool]:
    """The frames of `packet`, and whether the decoder complained of it."""
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture() as said:
            return packet.decode(), bool(said)
    finally:
        av.logging.set_level(av.logging.FATAL)


def _not_colour(kind: VideoFormat) -> str:
    """What images of this format are, where they are not of 8 bits and three channels."""
    channels, bits = len(kind.components), max((component.bits for component in kind.components), default=0)
    if channels == 3 and bits == 8:
        return ""
    named = {1: "one channel", 2: "one channel and alpha", 4: "4 channels (alpha)"}.get(
        channels, f"{channels} channels"
    )
    depth = " (depth?)" if channels == 1 and bits > 8 else ""
    return f"{bits} bit with {named}, {kind.name}{depth}"
