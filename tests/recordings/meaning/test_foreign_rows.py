import numpy as np
import pytest

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.interface import rotations
from ocrrl.interface.actions import advance_command
from ocrrl.interface.resampling import interpolate_poses
from ocrrl.recordings.meaning.foreign_rows import (
    actions_from_poses,
    actions_towards,
    nearest_rows,
    resampled_rows,
)


def turning_poses(angles):
    """Poses [m, wxyz] that turn about z and move along x together."""
    angles = np.asarray(angles, float)
    vectors = np.stack([0 * angles, 0 * angles, angles], axis=-1)
    position = np.stack([angles, 0 * angles, 0 * angles], axis=-1)
    return np.concatenate([position, rotations.from_rotation_vector(vectors)], axis=-1)


def test_the_first_and_the_last_sample_are_kept():
    np.testing.assert_allclose(resampled_rows(31, 30.0), np.arange(21) * 1.5)
    np.testing.assert_allclose(resampled_rows(5, 20.0), np.arange(5))
    np.testing.assert_array_equal(nearest_rows(resampled_rows(4, 10.0)), [0, 1, 1, 2, 2, 3, 3])


def test_rotations_are_interpolated_along_the_shortest_arc():
    poses = turning_poses([0.0, 0.2])
    poses[1, 3:] *= -1  # the same rotation
    halfway = interpolate_poses(poses, np.array([0.5]))
    np.testing.assert_allclose(halfway, turning_poses([0.1]), atol=1e-9)


def test_actions_step_from_each_pose_to_the_next():
    poses = turning_poses([0.0, 0.01, 0.03])
    actions, commanded = actions_from_poses(poses, np.array([1.0, 0.5, 0.0]))
    assert commanded is poses
    np.testing.assert_allclose(actions[:, 0], [0.01, 0.02, 0.0], atol=1e-9)
    np.testing.assert_allclose(actions[:, 5], [0.01, 0.02, 0.0], atol=1e-6)
    np.testing.assert_allclose(actions[:, 6], [1.0, 0.5, 0.0])


def test_a_step_beyond_the_limit_is_made_in_the_steps_that_follow():
    poses = turning_poses([0.0, 0.0, 0.03, 0.035, 0.04, 0.04, 0.04])
    actions, commanded = actions_from_poses(poses, np.ones(7))
    np.testing.assert_allclose(actions[:, 0], [0.0, 0.02, 0.015, 0.005, 0.0, 0.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(commanded[:, 0], [0.0, 0.0, 0.02, 0.035, 0.04, 0.04, 0.04], atol=1e-9)
    for step in range(6):
        np.testing.assert_allclose(advance_command(commanded[step], poses[step], actions[step]), commanded[step + 1])


def test_a_command_that_cannot_follow_within_its_leash_is_refused_with_the_speed():
    poses = turning_poses(np.r_[0.0, 0.0, np.cumsum(np.full(12, 0.04))])
    with pytest.raises(EpisodeRejected, match=r"action must be steps .* 0\.05 m .*, got 0\.08 m .*at up to 0\.8 m"):
        actions_from_poses(poses, np.ones(14))


def test_a_command_follows_recorded_targets_from_the_measured_pose():
    measured = turning_poses([0.0, 0.0, 0.01, 0.02])
    targets = turning_poses([0.01, 0.02, 0.03, 0.03])
    actions, commanded = actions_towards(measured, targets, np.zeros(4))
    np.testing.assert_allclose(actions[:, 0], [0.01, 0.01, 0.01, 0.0], atol=1e-9)
    np.testing.assert_allclose(commanded[:, 0], [0.0, 0.01, 0.02, 0.03], atol=1e-9)
    far = turning_poses([0.3, 0.3, 0.3, 0.3])
    with pytest.raises(EpisodeRejected, match=r"keep the command within 0\.05 m"):
        actions_towards(measured, far, np.zeros(4))
