"""A tracker in a thread: the latest estimate at once, and a failure that is told."""

import time

import numpy as np
import pytest

from ocrrl.interface.frames import Frame, Intrinsics
from ocrrl.interface.protocols import PoseEstimate, RobotPosture
from ocrrl.perception.tracking.asynchronous_tracker import AsynchronousTracker, PostureHistory

HERE = RobotPosture(np.zeros(7), 0.08)


class Camera:
    def __init__(self):
        self.time, self.failure = 0.0, ""

    def latest(self):
        if self.failure:
            raise RuntimeError(self.failure)
        return Frame(
            np.zeros((4, 4, 3), np.uint8),
            np.ones((4, 4), np.float32),
            self.time,
            Intrinsics(4, 4, 4, 4, 2, 2),
            np.eye(7)[3],
        )

    def close(self):
        pass


class Tracker:
    def __init__(self):
        self.resets, self.seen, self.failure, self.slow = 0, [], None, 0.0
        self.closed = False

    def reset(self):
        self.resets += 1

    def close(self):
        self.closed = True

    def track(self, frame, robot):
        if self.failure:
            raise self.failure
        time.sleep(self.slow)
        self.seen.append(frame.captured)
        return PoseEstimate(frame.captured, np.zeros((1, 7)), np.ones(1))


class Rig:
    def __init__(self, posture=HERE):
        self.camera, self.tracker = Camera(), Tracker()
        self.thread = AsynchronousTracker(self.tracker, self.camera, lambda when: posture)

    def until(self, condition, what):
        end = time.monotonic() + 10.0
        while not condition():
            assert time.monotonic() < end, what
            time.sleep(0.002)

    def fails(self):
        try:
            self.thread.latest()
        except RuntimeError:
            return True
        return False


@pytest.fixture
def rig():
    rig = Rig()
    yield rig
    rig.thread.close()


def test_every_new_frame_is_tracked_once(rig):
    for k in range(1, 4):
        rig.camera.time = k * 0.05
        rig.until(
            lambda: (found := rig.thread.latest()) is not None and found.captured == rig.camera.time, "no estimate"
        )
    time.sleep(0.05)
    assert len(rig.tracker.seen) == len(set(rig.tracker.seen))


def test_asking_does_not_wait_for_the_tracker(rig):
    rig.tracker.slow, rig.camera.time = 0.3, 1.0
    time.sleep(0.05)
    before = time.monotonic()
    rig.thread.latest()
    assert time.monotonic() - before < 0.1


def test_after_a_reset_only_frames_that_were_taken_later_count(rig):
    rig.camera.time = 1.0
    rig.until(lambda: rig.thread.latest() is not None, "no estimate")
    rig.thread.reset(1.0)
    assert rig.thread.latest() is None
    rig.until(lambda: rig.tracker.resets == 1, "the tracker was not told")
    assert rig.thread.latest() is None
    rig.camera.time = 1.05
    rig.until(lambda: rig.thread.latest() is not None, "no estimate after the reset")


def test_a_camera_that_comes_back_is_gone_on_with(rig):
    rig.camera.failure = "no new frame"
    rig.until(rig.fails, "a lost camera was not told")
    with pytest.raises(RuntimeError, match="object tracking ended: no new frame"):
        rig.thread.latest()
    rig.camera.failure, rig.camera.time = "", 2.0
    rig.until(lambda: not rig.fails() and rig.thread.latest() is not None, "the camera came back, tracking did not")


def test_a_tracker_that_fails_is_told_for_good(rig):
    rig.tracker.failure, rig.camera.time = ValueError("bad frame"), 1.0
    rig.until(rig.fails, "the failure was not told")
    rig.tracker.failure = None
    time.sleep(0.02)
    with pytest.raises(RuntimeError, match="object tracking ended: bad frame"):
        rig.thread.latest()


def test_a_frame_before_the_arm_is_known_is_left_out():
    rig = Rig(posture=None)
    rig.camera.time = 1.0
    time.sleep(0.05)
    assert rig.thread.latest() is None and rig.tracker.seen == []
    rig.thread.close()


def test_closing_ends_the_thread_and_closes_the_tracker():
    rig = Rig()
    assert not rig.tracker.closed
    rig.thread.close()
    assert rig.tracker.closed
    seen = len(rig.tracker.seen)
    rig.camera.time = 1.0
    time.sleep(0.05)
    assert len(rig.tracker.seen) == seen


def test_the_posture_nearest_in_time_is_remembered():
    history = PostureHistory()
    assert history.at(0.0) is None
    for k in range(300):
        history.add(k * 0.01, RobotPosture(np.full(7, float(k)), 0.0))
    assert history.at(2.503).joint_positions[0] == 250.0 and history.at(0.0).joint_positions[0] == 100.0
