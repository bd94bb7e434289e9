import time

import numpy as np
import pytest

from ocrrl.perception.cameras.realsense import PipelineFrameSets, open_device, realsense
from ocrrl.perception.cameras.realsense_reader import ReaderLimits, RealSenseReader
from ocrrl.perception.cameras.software_camera import SoftwareCamera
from tests.perception.cameras.images import SMALL
from tests.perception.cameras.recordings import open_recording


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Thirty exposures, colour k everywhere and depth 0.5 + k / 100 m."""
    path = tmp_path_factory.mktemp("camera") / "short.db3"
    camera = SoftwareCamera(SMALL, serial="a1", record_to=path)
    for k in range(30):
        camera.push(np.full((120, 160, 3), k, np.uint8), np.full((120, 160), 0.5 + k / 100, np.float32), k / 30)
        time.sleep(1 / 30)
    camera.close()
    del camera
    return path


def test_a_recording_is_read_like_a_camera(recording):
    frame_sets = open_recording(recording)
    assert frame_sets.serial == "a1" and frame_sets.has_depth
    reader = RealSenseReader(frame_sets, time.monotonic, None, ReaderLimits(settle=0))
    seen, lost = {}, ""
    while not lost:
        try:
            frame = reader.latest()
        except RuntimeError as error:
            lost = str(error)
        else:
            if frame is not None:
                seen[frame.captured] = frame
        time.sleep(0.002)
    reader.close()
    assert "recording has ended" in lost or "no new frame" in lost
    assert len(seen) >= 25
    for frame in seen.values():
        assert frame.intrinsics == SMALL
        depth = frame.depth[frame.depth > 0]  # rs.align rounds now and then past a pixel
        assert np.allclose(depth, 0.5 + frame.colour[0, 0, 0] / 100, atol=1e-5) and depth.size > 0.9 * 160 * 120
    times, numbers = np.array(list(seen)), np.array([int(frame.colour[0, 0, 0]) for frame in seen.values()])
    assert np.allclose(times - times[0], (numbers - numbers[0]) / 30, atol=0.02)


def test_a_recording_can_begin_again(recording):
    reader = RealSenseReader(
        open_recording(recording, repeat=True), time.monotonic, None, ReaderLimits(settle=0, max_age=3.0)
    )
    end, numbers = time.monotonic() + 10.0, []
    while time.monotonic() < end and (len(numbers) < 2 or numbers[-1] >= numbers[-2]):
        frame = reader.latest()
        if frame is not None and (not numbers or frame.colour[0, 0, 0] != numbers[-1]):
            numbers.append(int(frame.colour[0, 0, 0]))
        time.sleep(0.005)
    reader.close()
    assert numbers[-1] < numbers[-2]


@pytest.fixture
def plugged_in():
    """A software device in the place of a camera that is plugged in: what `open_device` asks of one is the same."""
    cameras = [SoftwareCamera(SMALL, serial="b7"), SoftwareCamera(SMALL, serial="c8", has_depth=False)]
    yield lambda: [camera.device for camera in cameras]
    for camera in cameras:
        camera.close()


def test_a_wrong_serial_number_names_those_that_are_connected(plugged_in):
    with pytest.raises(
        RuntimeError, match=r"camera z9 must be connected, got b7, c8: plug it in, or correct its serial"
    ):
        open_device("z9", 160, 120, 30, devices=plugged_in)
    with pytest.raises(RuntimeError, match="got no RealSense camera"):
        open_device("z9", 160, 120, 30, devices=list)


@pytest.mark.parametrize("mode", [(640, 480, 30), (160, 120, 60)])
def test_a_resolution_or_rate_that_is_not_there_names_those_that_are(plugged_in, mode):
    width, height, fps = mode
    wanted = rf"no colour of {width}x{height} at {fps} frames a second; it has 160x120 at 30 \(on a USB 2"
    with pytest.raises(RuntimeError, match=wanted):
        open_device("b7", *mode, devices=plugged_in)


def test_depth_is_asked_of_a_camera_that_has_it(plugged_in):
    with pytest.raises(RuntimeError, match="camera c8 has no depth of 160x120 at 30 frames a second; it has no depth"):
        open_device("c8", 160, 120, 30, devices=plugged_in)


def test_a_camera_that_does_not_start_is_said(plugged_in):
    with pytest.raises(RuntimeError, match=r"camera b7 does not start: .*Close other programs"):
        open_device("b7", 160, 120, 30, devices=plugged_in)


class StartedPipeline:
    """Stands for a pipeline and its configuration on a machine with a camera; keeps what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[tuple] = []

    def enable_device(self, serial: str) -> None:
        self.asked.append((serial,))

    def enable_stream(self, *stream) -> None:
        self.asked.append(stream)

    def can_resolve(self, _) -> bool:
        return True

    def start(self, _) -> "StartedPipeline":
        return self

    def get_device(self) -> "StartedPipeline":
        return self

    def is_connected(self) -> bool:
        return False

    def try_wait_for_frames(self, _: int):
        return False, None


def test_a_camera_is_opened_by_serial_number_and_streams(plugged_in, monkeypatch):
    rs, pipeline = realsense(), StartedPipeline()
    for name, made in (("config", pipeline), ("pipeline", pipeline), ("pipeline_wrapper", None)):
        monkeypatch.setattr(rs, name, lambda *_, made=made: made)
    frame_sets = open_device("b7", 160, 120, 30, devices=plugged_in)
    assert pipeline.asked == [
        ("b7",),
        (rs.stream.color, 160, 120, rs.format.rgb8, 30),
        (rs.stream.depth, 160, 120, rs.format.z16, 30),
    ]
    assert frame_sets.serial == "b7" and frame_sets.has_depth
    with pytest.raises(RuntimeError, match="unplugged"):
        frame_sets.wait(0.01)
    pipeline.asked.clear()
    assert not open_device("c8", 160, 120, 30, has_depth=False, devices=plugged_in).has_depth
    assert len(pipeline.asked) == 2


def test_when_nothing_comes_it_matters_whether_the_camera_is_still_there():
    class Silent:
        def try_wait_for_frames(self, milliseconds: int):
            return False, None

    assert PipelineFrameSets(Silent(), "b7", True, lambda: True).wait(0.01) is None
    with pytest.raises(RuntimeError, match="unplugged"):
        PipelineFrameSets(Silent(), "b7", True, lambda: False).wait(0.01)
