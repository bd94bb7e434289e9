import numpy as np
import pytest

from ocrrl.perception.calibration.calibration_check import fit_plane


def scattered(count: int, generator: np.random.Generator) -> np.ndarray:
    return generator.uniform([0.3, -0.2, 0.0], [0.7, 0.2, 0.0], (count, 3))


def test_a_plane_through_exact_points_is_exact():
    generator = np.random.default_rng(0)
    points = scattered(1000, generator)
    points[:, 2] = 0.02 + 0.1 * points[:, 0] - 0.05 * points[:, 1]
    plane = fit_plane(points)
    assert np.isclose(np.linalg.norm(plane.normal), 1) and plane.normal[2] > 0 and plane.inliers == 1
    assert np.isclose(plane.height_at(0.5, 0.1), 0.02 + 0.05 - 0.005)
    assert np.isclose(np.tan(plane.tilt), np.hypot(0.1, 0.05))
    assert np.allclose(points @ plane.normal, plane.offset)


def test_objects_on_the_table_and_noise_hardly_move_it():
    generator = np.random.default_rng(1)
    points = scattered(3000, generator)
    points[:, 2] = generator.normal(scale=0.0037, size=3000)
    points[:900, 2] += 0.06  # objects
    plane = fit_plane(points)
    assert abs(plane.height_at(0.5, 0.0)) < 0.0005 and np.rad2deg(plane.tilt) < 0.2
    assert 0.6 < plane.inliers < 0.7


def test_the_same_points_give_the_same_plane():
    points = np.random.default_rng(2).normal(size=(8000, 3)) * [1, 1, 0.01]
    first, second = fit_plane(points), fit_plane(points)
    assert np.array_equal(first.normal, second.normal) and first.offset == second.offset


def test_too_few_points_are_refused():
    with pytest.raises(ValueError, match="at least 200 points, got 10"):
        fit_plane(np.zeros((10, 3)))
