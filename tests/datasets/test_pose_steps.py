import numpy as np

from ocrrl.datasets.pose_steps import actions_from_poses, interpolate_poses, nearest_rows, resampled_rows
from ocrrl.interface import rotations


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
    actions = actions_from_poses(poses, np.array([1.0, 0.5, 0.0]))
    np.testing.assert_allclose(actions[:, 0], [0.01, 0.02, 0.0], atol=1e-9)
    np.testing.assert_allclose(actions[:, 5], [0.01, 0.02, 0.0], atol=1e-6)
    np.testing.assert_allclose(actions[:, 6], [1.0, 0.5, 0.0])
