import numpy as np

from ocrrl.interface import rotations
from ocrrl.interface.observations import CONFIDENCE_THRESHOLD
from ocrrl.robot.twin.noisy_tracker import NoisyPoses, TrackerErrors
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT


def test_after_a_burst_the_tracker_comes_back_to_the_same_symmetric_pose():
    n = 200
    tracker, ids = NoisyPoses(CUBE_LIFT, n, TrackerErrors(lost_episodes=1.0)), np.arange(n)
    truth = np.tile([0.5, 0, 0.02, 1, 0, 0, 0], (n, 1, 1))
    tracker.reset(ids, list(range(n)))
    tracker.start(ids, truth)
    gated = np.zeros(n, bool)
    for _ in range(110):
        tracker.update(ids, truth)
        poses, confidence, _ = tracker.estimate()
        confident = confidence[:, 0] >= CONFIDENCE_THRESHOLD
        gated |= ~confident
        astray = rotations.angle_between(poses[:, 0, 3:], truth[:, 0, 3:]) > np.deg2rad(45)
        assert not (astray & confident).any(), "a confident pose never jumps to another symmetric one"
    assert gated.mean() > 0.9, "nearly every burst closes the gate at some step"


def test_errors_in_metres_and_radians_stay_within_their_sizes_outside_bursts():
    n = 100
    errors = TrackerErrors(lost_episodes=0.0)
    tracker, ids = NoisyPoses(CUBE_LIFT, n, errors), np.arange(n)
    truth = np.tile([0.5, 0, 0.02, 1, 0, 0, 0], (n, 1, 1))
    tracker.reset(ids, list(range(n)))
    tracker.start(ids, truth)
    for _ in range(50):
        tracker.update(ids, truth)
        poses, _, _ = tracker.estimate()
        offset = np.linalg.norm(poses[:, 0, :3] - truth[:, 0, :3], axis=-1)
        assert offset.max() <= errors.max_bias + np.sqrt(3) * (errors.max_drift + errors.max_jitter)
        turn = rotations.angle_between(poses[:, 0, 3:], truth[:, 0, 3:])
        assert turn.max() <= errors.max_rotation_bias + errors.max_rotation_jitter + 1e-6
