import numpy as np

from ocrrl.interface import rotations
from ocrrl.interface.poses import (
    NO_SYMMETRY,
    axial_symmetry,
    canonical_quaternion,
    cube_symmetry,
    square_prism_symmetry,
)


def unit_quaternions(count, seed=0):
    return rotations.normalise(np.random.default_rng(seed).normal(size=(count, 4)))


def test_exponential_and_logarithm_are_inverse():
    vectors = np.random.default_rng(1).uniform(-1.8, 1.8, (100, 3))  # shorter than pi
    vectors[0] = 0.0
    np.testing.assert_allclose(
        rotations.to_rotation_vector(rotations.from_rotation_vector(vectors)), vectors, atol=1e-6
    )


def test_rotation_of_a_vector_agrees_with_the_matrix():
    q, v = unit_quaternions(50), np.random.default_rng(2).normal(size=(50, 3))
    np.testing.assert_allclose(rotations.rotate(q, v), (rotations.to_matrix(q) @ v[..., None])[..., 0], atol=1e-12)


def test_a_product_rotates_by_the_right_factor_first():
    a, b = unit_quaternions(20, 3), unit_quaternions(20, 4)
    v = np.random.default_rng(5).normal(size=(20, 3))
    np.testing.assert_allclose(
        rotations.rotate(rotations.multiply(a, b), v), rotations.rotate(a, rotations.rotate(b, v)), atol=1e-12
    )


def test_a_canonical_pose_is_the_same_for_every_symmetric_equivalent():
    reference = np.array([1.0, 0, 0, 0])
    for symmetry in (NO_SYMMETRY, square_prism_symmetry(), cube_symmetry(), axial_symmetry()):
        q = unit_quaternions(30, 6)
        expected = canonical_quaternion(q, symmetry, reference)
        for turn in symmetry:
            turned = rotations.multiply(q, np.asarray(turn, float))
            np.testing.assert_allclose(canonical_quaternion(turned, symmetry, reference), expected, atol=1e-9)


def test_the_square_prism_has_eight_symmetries_that_form_a_group():
    group = np.array(square_prism_symmetry())
    assert len(group) == 8
    for a in group:
        for b in group:
            assert np.abs(group @ rotations.multiply(a, b)).max() > 1 - 1e-9


def test_continuity_keeps_a_turning_object_on_one_branch():
    symmetry, previous = square_prism_symmetry(), np.array([1.0, 0, 0, 0])
    for angle in np.linspace(0, np.pi, 60):
        truth = np.array([np.cos(angle / 2), 0, 0, np.sin(angle / 2)])
        now = canonical_quaternion(truth, symmetry, previous)
        assert rotations.angle_between(now, previous) < 0.1
        previous = now
    assert rotations.angle_between(previous, np.array([0.0, 0, 0, 1.0])) < 1e-6


def test_a_matrix_becomes_its_quaternion_and_rounding_in_it_is_absorbed():
    q = rotations.normalise(np.random.default_rng(4).normal(size=(50, 4)))
    q[0], q[1], q[2] = [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, np.sqrt(0.5), np.sqrt(0.5)]
    np.testing.assert_allclose(rotations.angle_between(rotations.from_matrix(rotations.to_matrix(q)), q), 0, atol=1e-6)
    rough = rotations.from_matrix(rotations.to_matrix(q) + 1e-4)
    np.testing.assert_allclose(np.linalg.norm(rough, axis=-1), 1.0)
    assert rotations.angle_between(rough, q).max() < 1e-3
