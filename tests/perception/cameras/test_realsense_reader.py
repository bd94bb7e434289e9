import threading
import time

import numpy as np
import pytest

from ocrrl.interface import rotations
from ocrrl.interface.frames import Intrinsics
from ocrrl.perception.cameras.realsense import realsense
from ocrrl.perception.cameras.realsense_reader import ReaderLimits, RealSenseReader
from ocrrl.perception.cameras.software_camera import SoftwareCamera
from tests.perception.cameras.images import SMALL, Clock, Images, back, fails, shown

POSE = np.array([0.5, 0.1, 0.7, 0.0, 1.0, 0.0, 0.0])
AT_ONCE = ReaderLimits(settle=0)


@pytest.fixture
def opened():
    """Makes readers of software cameras and closes them."""
    readers = []

    def open_reader(clock=None, limits=AT_ONCE, pose=POSE, **options):
        camera = SoftwareCamera(SMALL, **options)
        reader = RealSenseReader(camera, clock or Clock(), pose, limits)
        readers.append(reader)
        return reader, Images(camera)

    yield open_reader
    for reader in readers:
        reader.close()


def test_a_frame_holds_what_was_pushed(opened):
    reader, images = opened()
    assert reader.latest() is None
    colour = images.push()
    frame = shown(reader)
    assert np.array_equal(frame.colour, colour)
    assert frame.depth.dtype == np.float32 and np.allclose(frame.depth[frame.depth > 0], 0.5, atol=1e-6)
    assert (frame.depth > 0).mean() > 0.9  # rs.align rounds now and then past a pixel
    assert frame.intrinsics == SMALL and np.array_equal(frame.camera_pose, POSE)
    assert reader.latest() is frame


def test_nearly_every_pair_at_30_hz_is_shown_with_times_that_rise_and_are_right():
    camera = SoftwareCamera(SMALL)
    reader = RealSenseReader(camera, time.monotonic, POSE, ReaderLimits(settle=10, max_age=5.0))
    images, start, pushed = Images(camera), time.monotonic(), []

    def push() -> None:
        for k in range(100):
            time.sleep(max(0.0, start + k / 30 - time.monotonic()))
            pushed.append(time.monotonic())
            images.push()

    feeding = threading.Thread(target=push)
    feeding.start()
    frames = []
    while feeding.is_alive():
        frame = reader.latest()
        if frame is not None and (not frames or frame is not frames[-1]):
            frames.append(frame)
        time.sleep(0.002)
    feeding.join()
    reader.close()

    assert len(frames) >= 0.7 * (len(pushed) - 10)  # 0.95 and more on an idle machine
    captured = np.array([frame.captured for frame in frames])
    assert (np.diff(captured) > 0).all()
    nominal = start + np.arange(100) / 30  # when each exposure was, by the device's own stamps
    errors = np.abs(captured[:, None] - nominal[None]).min(axis=1)
    assert np.median(errors) < 0.005 and errors.max() < 0.017


def test_depth_lands_on_the_colour_pixels_that_see_the_same_point(opened):
    """A square plate one metre in front of the colour camera, seen by a depth sensor that is turned and 5 cm aside."""
    sensor = np.concatenate([[0.05, -0.01, 0.0], rotations.from_rotation_vector(np.array([0.03, 0.08, 0.25]))])
    far = Intrinsics(200, 150, 140.0, 140.0, 100.0, 75.0)
    v, u = np.mgrid[: far.height, : far.width]
    rays = np.stack([(u - far.cx) / far.fx, (v - far.cy) / far.fy, np.ones_like(u, float)], axis=-1)
    in_colour = rotations.rotate(np.broadcast_to(sensor[3:], (*rays.shape[:2], 4)), rays)
    along = (1.0 - sensor[2]) / in_colour[..., 2]  # the depth sensor's own depth of the plane z = 1
    points = sensor[:3] + along[..., None] * in_colour
    plate = (np.abs(points[..., 0] - 0.1) < 0.15) & (np.abs(points[..., 1]) < 0.2)
    depth = np.where(plate, along, 0.0).astype(np.float32)

    reader, _ = opened(depth_intrinsics=far, depth_sensor_pose=sensor)
    reader._frame_sets.push(np.zeros((120, 160, 3), np.uint8), depth, 1.0)
    frame = shown(reader)
    v, u = np.mgrid[:120, :160]
    x, y = (u - SMALL.cx) / SMALL.fx, (v - SMALL.cy) / SMALL.fy
    pixel = 1 / SMALL.fx
    inside = (np.abs(x - 0.1) < 0.15 - 2 * pixel) & (np.abs(y) < 0.2 - 2 * pixel)
    outside = (np.abs(x - 0.1) > 0.15 + 2 * pixel) | (np.abs(y) > 0.2 + 2 * pixel)
    assert (frame.depth[inside] > 0).mean() > 0.99
    assert np.abs(frame.depth[inside & (frame.depth > 0)] - 1.0).max() < 0.002
    assert (frame.depth[outside] == 0).all()


def test_an_image_through_a_lens_becomes_a_pinhole_camera_s(opened, monkeypatch):
    rs = realsense()

    def distorted(intrinsics):
        profile = rs.intrinsics()
        profile.width, profile.height = intrinsics.width, intrinsics.height
        profile.fx, profile.fy, profile.ppx, profile.ppy = intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy
        profile.model, profile.coeffs = rs.distortion.inverse_brown_conrady, [-0.2, 0.1, 0.002, -0.001, 0.0]
        return profile

    monkeypatch.setattr("ocrrl.perception.cameras.software_camera._profile_intrinsics", distorted)
    reader, images = opened(has_depth=False)
    lens, x, y = distorted(SMALL), 0.3, -0.22
    u, v = rs.rs2_project_point_to_pixel(lens, [x, y, 1.0])
    columns, rows = np.meshgrid(np.arange(160), np.arange(120))
    spot = 255 * np.exp(-((columns - u) ** 2 + (rows - v) ** 2) / (2 * 2.0**2))
    images.camera.push(np.repeat(spot[..., None], 3, axis=-1).astype(np.uint8), None, 8.0)
    seen = shown(reader).colour[..., 0].astype(float)
    centre = np.array([(columns * seen).sum(), (rows * seen).sum()]) / seen.sum()
    pinhole = np.array([SMALL.cx + SMALL.fx * x, SMALL.cy + SMALL.fy * y])
    assert np.linalg.norm(np.array([u, v]) - pinhole) > 1.5
    assert np.linalg.norm(centre - pinhole) < 0.3


def test_a_camera_without_depth_gives_colour_alone(opened):
    reader, images = opened(has_depth=False, pose=None)
    colour = images.push()
    frame = shown(reader)
    assert np.array_equal(frame.colour, colour) and not frame.depth.any()
    assert np.isnan(frame.camera_pose).all()


def test_the_first_frames_are_let_pass(opened):
    reader, images = opened(limits=ReaderLimits(settle=3))
    for _ in range(3):
        images.push()
        time.sleep(0.1)
    assert reader.latest() is None
    images.push()
    assert shown(reader).captured <= 100.0


def test_a_device_that_begins_anew_is_followed(opened):
    clock = Clock()
    reader, images = opened(clock)
    images.push()
    first = shown(reader)
    images.timestamp, clock.now = 0.0, 100.2
    images.push()
    assert shown(reader, first.captured).captured == pytest.approx(100.2)


def test_no_first_frame_is_said(opened):
    clock = Clock()
    reader, _ = opened(clock)
    clock.now += 4.9
    assert reader.latest() is None
    clock.now += 0.2
    with pytest.raises(RuntimeError, match=r"camera software gave no frame within 5 s \(it sends no frames\): check"):
        reader.latest()


def test_frames_that_stop_coming_are_said(opened):
    clock = Clock()
    reader, images = opened(clock)
    images.push()
    frame = shown(reader)
    clock.now += 0.4
    assert reader.latest() is frame
    clock.now += 0.2
    with pytest.raises(RuntimeError, match=r"has given no new frame for 0\.60 s"):
        reader.latest()
    images.push()
    back(reader, frame)


def test_a_time_stamp_that_stands_still_is_said():
    class Stuck(SoftwareCamera):
        """Gives its first frameset again and again."""

        first = None

        def wait(self, timeout: float):
            time.sleep(0.005)
            if not self.first:
                self.first = super().wait(timeout)
            return self.first

    clock, camera = Clock(), Stuck(SMALL)
    reader = RealSenseReader(camera, clock, POSE, AT_ONCE)
    Images(camera).push()
    shown(reader)
    clock.now += 0.6
    fails(reader, r"no new frame for 0\.60 s \(its timestamp or frame number stands still: 7\.033")
    camera.first = None
    reader.close()


@pytest.mark.parametrize("max_still", [1.0, np.inf])
def test_the_same_image_again_and_again_is_said_unless_images_are_rendered(opened, max_still):
    clock = Clock()
    reader, images = opened(clock, ReaderLimits(settle=0, max_still=max_still))
    colour, depth = np.full((120, 160, 3), 9, np.uint8), np.ones((120, 160), np.float32)
    captured = -np.inf
    for k in range(5):
        clock.now += 0.25
        images.camera.push(colour, depth, k * 0.25)
        captured = shown(reader, captured).captured
    clock.now += 0.1
    if np.isinf(max_still):
        assert reader.latest() is not None
    else:
        with pytest.raises(RuntimeError, match=r"has sent one and the same image for 1\.10 s"):
            reader.latest()


def test_colour_without_its_depth_is_said():
    clock, camera = Clock(), SoftwareCamera(SMALL, has_depth=False)
    images = Images(camera)
    camera.has_depth = True  # as of a camera whose depth sensor has died
    reader = RealSenseReader(camera, clock, POSE, AT_ONCE)
    camera.has_depth = False
    images.push()
    camera.has_depth = True
    time.sleep(0.05)
    clock.now += 6.0
    with pytest.raises(RuntimeError, match=r"gave no frame within 5 s \("):
        reader.latest()
    reader.close()


def test_a_camera_that_is_lost_is_said():
    class Unplugged(SoftwareCamera):
        lost = False

        def wait(self, timeout: float):
            if self.lost:
                raise RuntimeError("unplugged")
            return super().wait(timeout)

    camera = Unplugged(SMALL)
    reader = RealSenseReader(camera, Clock(), POSE, AT_ONCE)
    Images(camera).push()
    shown(reader)
    camera.lost = True
    fails(reader, r"camera software was lost \(unplugged\): check its cable")
    reader.close()


def test_colour_in_another_order_is_refused(opened, monkeypatch):
    monkeypatch.setattr(realsense().format, "rgb8", realsense().format.bgr8, raising=False)
    reader, images = opened(has_depth=False)
    monkeypatch.undo()
    images.push()
    fails(reader, r"was lost \(its colour must come as rgb8, got format\.bgr8: record or open")


def test_limits_that_are_none_are_refused():
    with pytest.raises(ValueError, match="max_age must be above 0 s, got 0"):
        ReaderLimits(max_age=0.0)
    with pytest.raises(ValueError, match="settle must be at least 0"):
        ReaderLimits(settle=-1)


def test_an_arm_s_clock_that_cannot_be_read_for_once_costs_a_frame_and_not_the_camera(opened):
    class Stumbling(Clock):
        fails = False

        def __call__(self):
            if self.fails and threading.current_thread() is not threading.main_thread():
                raise RuntimeError("UDP timeout")
            return super().__call__()

    clock = Stumbling()
    reader, images = opened(clock)
    images.push()
    frame = shown(reader)
    clock.fails = True
    images.push()
    assert reader.latest() is frame
    clock.now += 0.6
    fails(reader, r"no new frame for 0\.60 s \(the arm's clock could not be read: UDP timeout", images.push)
    clock.fails = False
    images.push()
    back(reader, frame)
