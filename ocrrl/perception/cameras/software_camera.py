"""A RealSense camera in software: `push` takes images, framesets come out as from a real camera.

For the wire twin and for tests. A pipeline cannot open such a device live, but it opens a recording of it like a camera.
librealsense's own syncer is not used: it gives up a stream that pauses for five periods of the wall clock, and pairs of a
source that is slower than it says are lost. Here what is pushed together stays together.
"""

from pathlib import Path
from typing import Any

import numpy as np

from ocrrl.interface import rotations
from ocrrl.interface.frames import Intrinsics
from ocrrl.perception.cameras.realsense import FrameSet, realsense

DEPTH_UNIT = 0.001  # [m], the D400 cameras' default
QUEUED = 2  # framesets that wait to be taken; a later one drops the oldest
PASS_ON = 1000  # [ms] within which librealsense hands on what it was given
SAME_PLACE = np.array([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])


class SoftwareCamera:
    """`FrameSets` of what is pushed into it. One thread pushes, another waits."""

    def __init__(
        self,
        intrinsics: Intrinsics,
        fps: int = 30,
        serial: str = "software",
        has_depth: bool = True,
        depth_intrinsics: Intrinsics | None = None,
        depth_sensor_pose: np.ndarray = SAME_PLACE,
        record_to: Path | None = None,
    ) -> None:
        """A camera whose depth sensor stands at `depth_sensor_pose` (7,) in the colour camera's optical frame.

        `depth_intrinsics` are the colour camera's unless given. With `record_to` (.db3) everything is recorded there too.
        """
        rs = realsense()
        self.serial, self.has_depth = serial, has_depth
        self._colour_intrinsics = intrinsics
        self._depth_intrinsics = depth_intrinsics or intrinsics
        self.device = rs.software_device()
        self.device.register_info(rs.camera_info.serial_number, serial)
        self.device.register_info(rs.camera_info.name, "software camera")
        self._colour_sensor = self.device.add_sensor("colour")
        stream = _stream(rs.stream.color, rs.format.rgb8, 3, intrinsics, fps)
        self._colour_profile = self._colour_sensor.add_video_stream(stream).as_video_stream_profile()
        self._streams = [self._colour_profile]
        if has_depth:
            self._depth_sensor = self.device.add_sensor("depth")
            self._depth_sensor.add_read_only_option(rs.option.depth_units, DEPTH_UNIT)
            stream = _stream(rs.stream.depth, rs.format.z16, 2, self._depth_intrinsics, fps)
            self._depth_profile = self._depth_sensor.add_video_stream(stream).as_video_stream_profile()
            self._depth_profile.register_extrinsics_to(self._colour_profile, _extrinsics(depth_sensor_pose))
            self._streams.append(self._depth_profile)
        # A recorder passes on what its own sensors are given; started on the device's, it would record nothing.
        self._recorder = rs.recorder(str(record_to), self.device) if record_to else None
        self._sensors = (self._recorder or self.device).query_sensors()
        self._arrived = [rs.frame_queue(1, keep_frames=True) for _ in self._sensors]
        for sensor, profile, queue in zip(self._sensors, self._streams, self._arrived, strict=True):
            sensor.open(profile)
            sensor.start(queue)
        self._parts: list[Any] = []
        self._framesets = rs.frame_queue(QUEUED, keep_frames=True)
        self._pairing = rs.processing_block(self._pair)
        self._pairing.start(self._framesets)
        self._pushed = 0

    def push(self, colour: np.ndarray, depth: np.ndarray | None, timestamp: float) -> None:
        """One exposure at `timestamp` [s] of the device's clock: `colour` (H, W, 3) uint8 RGB, `depth` (h, w) [m].

        Depth is the depth sensor's own image, 0 where it sees nothing. Raises ValueError for other shapes or types.
        """
        _check("colour", colour, self._colour_intrinsics, (3,), np.uint8)
        if self.has_depth:
            if depth is None:
                raise ValueError(f"camera {self.serial} has a depth sensor: push its depth too")
            _check("depth", depth, self._depth_intrinsics, (), np.floating)
            units = np.clip(np.rint(depth / DEPTH_UNIT), 0, np.iinfo(np.uint16).max).astype(np.uint16)
            self._send(self._depth_sensor, self._depth_profile, units, timestamp)
        self._send(self._colour_sensor, self._colour_profile, colour, timestamp)
        self._parts = [queue.wait_for_frame(PASS_ON) for queue in self._arrived]
        self._pairing.invoke(self._parts[0])
        self._parts = []
        self._pushed += 1

    def wait(self, timeout: float) -> FrameSet | None:
        arrived, frame = self._framesets.try_wait_for_frame(int(1000 * timeout))
        return frame.as_frameset() if arrived else None

    def close(self) -> None:
        for sensor in self._sensors:
            sensor.stop()
            sensor.close()
        self._sensors, self._recorder = [], None  # the recording is finished when its recorder goes

    def _pair(self, _: Any, source: Any) -> None:
        source.frame_ready(source.allocate_composite_frame(self._parts))

    def _send(self, sensor, profile, image: np.ndarray, timestamp: float) -> None:
        rs = realsense()
        frame = rs.software_video_frame()
        frame.pixels = np.ascontiguousarray(image)
        frame.bpp = image.itemsize * (image.shape[2] if image.ndim == 3 else 1)
        frame.stride = image.shape[1] * frame.bpp
        frame.timestamp = 1000.0 * timestamp
        frame.domain = rs.timestamp_domain.hardware_clock
        frame.frame_number = self._pushed
        frame.profile = profile
        if image.dtype == np.uint16:
            frame.depth_units = DEPTH_UNIT
        sensor.on_video_frame(frame)


def _check(name: str, image: np.ndarray, intrinsics: Intrinsics, channels: tuple[int, ...], kind: type) -> None:
    shape = (intrinsics.height, intrinsics.width, *channels)
    if image.shape != shape or not np.issubdtype(image.dtype, kind):
        raise ValueError(f"{name} must be {kind.__name__} of shape {shape}, got {image.dtype} of {image.shape}")


def _stream(kind, pixel_format, bytes_per_pixel: int, intrinsics: Intrinsics, fps: int):
    rs = realsense()
    stream = rs.video_stream()
    stream.type, stream.fmt, stream.bpp = kind, pixel_format, bytes_per_pixel
    stream.index, stream.uid = 0, int(kind)
    stream.width, stream.height, stream.fps = intrinsics.width, intrinsics.height, fps
    stream.intrinsics = _profile_intrinsics(intrinsics)
    return stream


def _profile_intrinsics(intrinsics: Intrinsics):
    rs = realsense()
    profile = rs.intrinsics()
    profile.width, profile.height = intrinsics.width, intrinsics.height
    profile.fx, profile.fy, profile.ppx, profile.ppy = intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy
    profile.model, profile.coeffs = rs.distortion.none, [0.0] * 5
    return profile


def _extrinsics(pose: np.ndarray):
    extrinsics = realsense().extrinsics()
    extrinsics.rotation = rotations.to_matrix(pose[3:]).T.ravel().tolist()  # librealsense stores columns
    extrinsics.translation = pose[:3].tolist()
    return extrinsics
