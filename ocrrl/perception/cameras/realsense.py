"""Opens a connected RealSense camera as a source of framesets; the only module that imports pyrealsense2."""

from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, Protocol

from ocrrl.extras import how_to_install

type Device = Any
"""A `pyrealsense2.device`; the library ships no types."""
type FrameSet = Any
"""A `pyrealsense2.composite_frame`; the library ships no types."""


def realsense() -> ModuleType:
    """The module pyrealsense2; RuntimeError with the remedy where it is not installed."""
    try:
        import pyrealsense2
    except ImportError as error:
        raise RuntimeError(
            f"a RealSense camera needs pyrealsense2 ({how_to_install('robot')}) and the system's libusb "
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


class PipelineFrameSets:
    """`FrameSets` of a pipeline that was started."""

    def __init__(self, pipeline: Any, serial: str, has_depth: bool, is_there: Callable[[], bool]) -> None:
        """`is_there` says whether there is any more to come when nothing comes."""
        self._pipeline, self._is_there = pipeline, is_there
        self.serial, self.has_depth = serial, has_depth

    def wait(self, timeout: float) -> FrameSet | None:
        arrived, frame_set = self._pipeline.try_wait_for_frames(int(1000 * timeout))
        if not arrived and not self._is_there():
            raise RuntimeError("unplugged, or the recording has ended")
        return frame_set if arrived else None

    def close(self) -> None:
        self._pipeline.stop()


def connected_devices() -> list[Device]:
    """The RealSense cameras that are plugged into this machine."""
    return list(realsense().context().query_devices())


def connected_serials() -> list[str]:
    """The serial numbers of the RealSense cameras that are plugged into this machine."""
    return [_serial(device) for device in connected_devices()]


def open_device(
    serial: str,
    width: int,
    height: int,
    fps: int,
    has_depth: bool = True,
    devices: Callable[[], Iterable[Device]] = connected_devices,
) -> PipelineFrameSets:
    """The camera with the serial number `serial`: colour and, unless not `has_depth`, depth of `width` x `height` pixels.

    Raises RuntimeError if it is not connected (names those that are), has no such resolution or rate (names its own), or
    does not start.
    """
    rs = realsense()
    device = _device(serial, devices)
    streams = [(rs.stream.color, rs.format.rgb8, "colour")]
    if has_depth:
        streams.append((rs.stream.depth, rs.format.z16, "depth"))
    config = rs.config()
    config.enable_device(serial)
    for stream, stream_format, name in streams:
        _check_mode(device, serial, stream, stream_format, name, (width, height, fps))
        config.enable_stream(stream, width, height, stream_format, fps)
    pipeline = rs.pipeline()
    try:
        if not config.can_resolve(rs.pipeline_wrapper(pipeline)):
            raise RuntimeError("its streams cannot be opened together")
        profile = pipeline.start(config)
    except RuntimeError as error:
        raise RuntimeError(
            f"camera {serial} does not start: {error}. Close other programs that use it, or plug it in again"
        ) from error
    return PipelineFrameSets(pipeline, serial, has_depth, profile.get_device().is_connected)


def _serial(device: Device) -> str:
    return device.get_info(realsense().camera_info.serial_number)


def _device(serial: str, devices: Callable[[], Iterable[Device]]) -> Device:
    found = {_serial(device): device for device in devices()}
    if serial not in found:
        raise RuntimeError(
            f"camera {serial} must be connected, got {', '.join(found) or 'no RealSense camera'}: plug it in, or correct its "
            "serial number in the cell file"
        )
    return found[serial]


def _check_mode(
    device: Device, serial: str, stream: Any, stream_format: Any, name: str, wanted: tuple[int, int, int]
) -> None:
    profiles = [profile for sensor in device.query_sensors() for profile in sensor.get_stream_profiles()]
    videos = [profile.as_video_stream_profile() for profile in profiles if profile.is_video_stream_profile()]
    modes = {
        (video.width(), video.height(), video.fps())
        for video in videos
        if video.stream_type() == stream and video.format() == stream_format
    }
    if wanted not in modes:
        width, height, fps = wanted
        valid = ", ".join(f"{w}x{h} at {rate}" for w, h, rate in sorted(modes)) or f"no {name}"
        raise RuntimeError(
            f"camera {serial} has no {name} of {width}x{height} at {fps} frames a second; it has {valid} (on a USB 2 port a "
            "camera has fewer). Correct the cell file, or use a USB 3 port"
        )
