"""Reads a RealSense camera in a thread that keeps the newest paired and aligned frame.

It reads whatever gives framesets: a camera (`realsense.py`), a software device (`software_camera.py`).
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from ocrrl.interface.frames import Frame, Intrinsics
from ocrrl.perception.cameras.realsense import FrameSet, FrameSets, realsense


class Undistortion:
    """Resamples images (H, W) and (H, W, 3); the focal lengths and the centre stay as they are.

    Each pixel's ray goes through librealsense's own projection, so that every distortion model which it knows is right.
    """

    def __init__(self, profile_intrinsics) -> None:
        """`profile_intrinsics` are a `pyrealsense2.intrinsics`."""
        project = realsense().rs2_project_point_to_pixel
        given = profile_intrinsics
        self.intrinsics = Intrinsics(given.width, given.height, given.fx, given.fy, given.ppx, given.ppy)
        self._sources: tuple[np.ndarray, np.ndarray] | None = None
        if any(given.coeffs):
            xs = (np.arange(given.width) - given.ppx) / given.fx
            ys = (np.arange(given.height) - given.ppy) / given.fy
            pixels = np.array([[project(given, [x, y, 1.0]) for x in xs] for y in ys], np.float32)
            self._sources = np.ascontiguousarray(pixels[..., 0]), np.ascontiguousarray(pixels[..., 1])

    def colour(self, image: np.ndarray) -> np.ndarray:
        """Of `image` (H, W, 3) uint8, between pixels linearly."""
        return self._resampled(image, cv2.INTER_LINEAR)

    def depth(self, image: np.ndarray) -> np.ndarray:
        """Of `image` (H, W), the nearest pixel: depth between an object and what is behind it is nowhere."""
        return self._resampled(image, cv2.INTER_NEAREST)

    def _resampled(self, image: np.ndarray, interpolation: int) -> np.ndarray:
        if self._sources is None:
            return image.copy()  # the frame's memory goes back to the library
        return cv2.remap(image, *self._sources, interpolation)


class DeviceClock:
    """From a camera's clock to the arm's, by the smallest difference (arrival - timestamp) of the last `window` seconds.

    A frame's arrival is its timestamp plus the unknown offset between the clocks plus a delay that is never negative and
    varies with the bus and the scheduler. The smallest difference has the smallest delay, so it is the best measure of
    the offset (the minimum filter of NTP, RFC 5905 section 10). What remains is that smallest delay itself, some
    milliseconds: times are late by it and never early. The window is there because two crystals part by up to some 50 ppm,
    3 ms a minute: an old minimum would go wrong for good.
    """

    def __init__(self, window: float = 30.0) -> None:
        self._window = window
        # Arrivals [s] and differences [s], both rising: whatever is older and larger can never be the smallest again.
        self._candidates: deque[tuple[float, float]] = deque()

    def time_of(self, timestamp: float, arrival: float) -> float:
        """When a frame stamped `timestamp` [s] by the device and arrived at `arrival` [s] was taken, on the arm's clock [s]."""
        difference = arrival - timestamp
        while self._candidates and self._candidates[-1][1] >= difference:
            self._candidates.pop()
        self._candidates.append((arrival, difference))
        while self._candidates[0][0] < arrival - self._window:
            self._candidates.popleft()
        return timestamp + self._candidates[0][1]


class ColourDepth:
    """Turns aligned depth into depth along the colour camera's axis, which `rs.align` leaves undone.

    librealsense's align moves a depth pixel to the colour pixel that sees the same point, but leaves its value: the point's
    distance along the axis of the depth sensor. Turned by a degree, that is wrong by 5 mm at 0.3 m aside.
    With p_colour = R p_depth + t, and z r the point on a colour pixel's ray r = (x, y, 1):
    z_depth = (Rᵀ(z r - t))_z, so z = (z_depth + (Rᵀt)_z) / (Rᵀr)_z.
    """

    def __init__(self, intrinsics: Intrinsics, rotation: np.ndarray, translation: np.ndarray) -> None:
        """`rotation` (3, 3) and `translation` (3,) [m] take a point of the depth sensor to the colour camera of `intrinsics`."""
        x = (np.arange(intrinsics.width) - intrinsics.cx) / intrinsics.fx
        y = (np.arange(intrinsics.height) - intrinsics.cy) / intrinsics.fy
        axis = rotation[:, 2]  # of the depth sensor, in the colour camera's frame
        self._along = (axis[0] * x[None] + axis[1] * y[:, None] + axis[2]).astype(np.float32)
        self._ahead = np.float32(axis @ translation)

    def of(self, depth: np.ndarray) -> np.ndarray:
        """Of aligned `depth` (H, W) float32 [m]; what is 0 stays 0."""
        return np.where(depth > 0, (depth + self._ahead) / self._along, np.float32(0))


WAIT = 0.2  # [s] for a frameset, before looking whether the reader was closed
UNKNOWN_POSE = np.full(7, np.nan)


@dataclass(frozen=True)
class ReaderLimits:
    """When a camera counts as failed, in seconds of the arm's clock."""

    first_frame_within: float = 5.0
    max_age: float = 0.5
    """Without a new frame."""
    max_still: float = 1.0
    """With images that are the same to the last bit, which a sensor's noise never lets happen; `inf` where images are
    rendered without noise."""
    settle: int = 15
    """First framesets that are not shown: exposure finds its level in them, and their delays measure the clock's offset."""

    def __post_init__(self) -> None:
        for name in ("first_frame_within", "max_age", "max_still"):
            if not getattr(self, name) > 0:
                raise ValueError(f"a camera's {name} must be above 0 s, got {getattr(self, name)}")
        if self.settle < 0:
            raise ValueError(f"a camera's settle must be at least 0 framesets, got {self.settle}")


class RealSenseReader:
    """A `FrameSource` of depth aligned to colour; where `frame_sets` has no depth, the frames' depth is 0 everywhere."""

    def __init__(
        self,
        frame_sets: FrameSets,
        clock: Callable[[], float],
        camera_pose: np.ndarray | None = None,
        limits: ReaderLimits | None = None,
    ) -> None:
        """Start reading. `clock` is the arm's [s]; `camera_pose` (7,) is the colour camera's in the robot base frame.

        Without `camera_pose`, as for a camera on the wrist, the frames' is NaN. `frame_sets` is closed with the reader.
        """
        self._frame_sets, self._clock = frame_sets, clock
        self._limits = limits or ReaderLimits()
        self._camera_pose = UNKNOWN_POSE if camera_pose is None else np.array(camera_pose, float)
        self._align = realsense().align(realsense().stream.color)
        self._lens: Undistortion | None = None
        self._colour_depth: ColourDepth | None = None
        self._device_clock = DeviceClock()
        self._timestamp, self._number = -np.inf, -1
        self._to_settle = self._limits.settle
        self._frame: Frame | None = None
        self._advanced = self._changed = self._opened = clock()
        self._state, self._failure = "it sends no frames", ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, name=f"camera {frame_sets.serial}", daemon=True)
        self._thread.start()

    def latest(self) -> Frame | None:
        """The newest frame; None before the first. Never waits.

        Raises RuntimeError when the camera is lost, gave no first frame in time, sends no new frames, or the same image.
        """
        frame, now, limits = self._frame, self._clock(), self._limits
        if self._failure:
            raise RuntimeError(self._failure)
        if frame is None:
            if now - self._opened > limits.first_frame_within:
                raise self._failed(f"gave no frame within {limits.first_frame_within:g} s ({self._state})")
            return None
        if now - self._advanced > limits.max_age:
            raise self._failed(f"has given no new frame for {now - self._advanced:.2f} s ({self._state})")
        if now - self._changed > limits.max_still:
            raise self._failed(f"has sent one and the same image for {now - self._changed:.2f} s")
        return frame

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._frame_sets.close()

    def _failed(self, how: str) -> RuntimeError:
        return RuntimeError(
            f"camera {self._frame_sets.serial} {how}: check its cable and port (USB 3), close other programs that use it, "
            "then open it again"
        )

    def _read(self) -> None:
        try:
            while not self._over.is_set():
                frame_set = self._frame_sets.wait(WAIT)
                if frame_set is None:
                    self._state = "it sends no frames"
                elif (arrival := self._arrival()) is not None:
                    self._take(frame_set, arrival)
        except Exception as error:  # whatever ends the thread has to be said by `latest`
            self._failure = str(self._failed(f"was lost ({error})"))

    def _arrival(self) -> float | None:
        """Now; None where the clock, which is the arm's, could not be read this time: that is not the camera's fault."""
        try:
            return self._clock()
        except RuntimeError as error:
            self._state = f"the arm's clock could not be read: {error}"
            return None

    def _take(self, frame_set: FrameSet, arrival: float) -> None:
        colour, depth = frame_set.get_color_frame(), frame_set.get_depth_frame()
        if not colour or (self._frame_sets.has_depth and not depth):
            self._state = "colour and depth do not come in pairs"
            return
        timestamp, number = colour.get_timestamp() / 1000.0, colour.get_frame_number()
        if timestamp == self._timestamp or number == self._number:
            self._state = f"its timestamp or frame number stands still: {timestamp:.3f} s, {number}"
            return
        if timestamp < self._timestamp:  # the device or a repeated recording began anew
            self._device_clock = DeviceClock()
        self._timestamp, self._number = timestamp, number
        captured = self._device_clock.time_of(timestamp, arrival)
        if self._to_settle:
            self._to_settle -= 1
            self._state = "its first frames are let pass"
        elif self._frame is None or captured > self._frame.captured:
            self._show(self._frame_of(frame_set, captured), arrival)

    def _show(self, frame: Frame, arrival: float) -> None:
        if self._frame is None or not np.array_equal(frame.colour, self._frame.colour):
            self._changed = arrival
        self._advanced, self._frame = arrival, frame

    def _frame_of(self, frame_set: FrameSet, captured: float) -> Frame:
        lens = self._lens = self._lens or _lens(frame_set)
        if self._frame_sets.has_depth:
            corrected = self._colour_depth = self._colour_depth or _colour_depth(frame_set, lens)
            frame_set = self._align.process(frame_set)
            aligned = frame_set.get_depth_frame()
            depth = corrected.of(lens.depth(np.asarray(aligned.get_data())) * np.float32(aligned.get_units()))
        else:
            depth = np.zeros((lens.intrinsics.height, lens.intrinsics.width), np.float32)
        colour = lens.colour(np.asarray(frame_set.get_color_frame().get_data()))
        return Frame(colour, depth, captured, lens.intrinsics, self._camera_pose)


def _lens(frame_set: FrameSet) -> Undistortion:
    profile = frame_set.get_color_frame().profile.as_video_stream_profile()
    if profile.format() != realsense().format.rgb8:
        raise RuntimeError(f"its colour must come as rgb8, got {profile.format()}: record or open it as rgb8")
    return Undistortion(profile.get_intrinsics())


def _colour_depth(frame_set: FrameSet, lens: Undistortion) -> ColourDepth:
    to_colour = frame_set.get_depth_frame().profile.get_extrinsics_to(frame_set.get_color_frame().profile)
    rotation = np.array(to_colour.rotation).reshape(3, 3).T  # librealsense stores columns
    return ColourDepth(lens.intrinsics, rotation, np.array(to_colour.translation))
