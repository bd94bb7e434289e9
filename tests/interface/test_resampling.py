"""Rows between rows: the ends stay, the middle is half-way, along the shorter turn, for one path and for several."""

import numpy as np

from ocrrl.interface import rotations
from ocrrl.interface.resampling import interpolate_poses


def test_poses_are_interpolated_along_the_shorter_turn_whatever_the_sign():
    quarter = rotations.from_rotation_vector(np.array([0.0, 0.0, np.pi / 2]))
    path = np.stack([[0.0, 0, 0, 1, 0, 0, 0], [0.2, 0, 0, *-quarter]])
    half = interpolate_poses(path, np.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(half[:, 0], [0.0, 0.1, 0.2])
    np.testing.assert_allclose(np.abs(rotations.to_rotation_vector(half[1, 3:])[2]), np.pi / 4, atol=1e-6)
    several = np.stack([path, path[::-1]])
    np.testing.assert_array_equal(interpolate_poses(several, np.array([0.0, 0.5, 1.0]))[0], half)
