import numpy as np

from ocrrl.interface import rigid, rotations


def some_poses(count: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    quaternions = rotations.normalise(generator.normal(size=(count, 4)))
    return np.concatenate([generator.normal(size=(count, 3)), quaternions], axis=-1)


def test_a_pose_after_its_inverse_is_none():
    poses = some_poses(5)
    nothing = rigid.compose(poses, rigid.inverse(poses))
    assert np.allclose(nothing[:, :3], 0) and np.allclose(np.abs(nothing[:, 3]), 1)


def test_composing_poses_is_applying_one_after_the_other():
    a, b = some_poses(2)
    points = np.random.default_rng(1).normal(size=(7, 3))
    assert np.allclose(rigid.apply(rigid.compose(a, b), points), rigid.apply(a, rigid.apply(b, points)))


def test_each_point_may_have_a_pose_of_its_own():
    poses, points = some_poses(4), np.random.default_rng(1).normal(size=(4, 3))
    together = rigid.apply(poses, points)
    for pose, point, moved in zip(poses, points, together, strict=True):
        assert np.allclose(rigid.apply(pose, point[None])[0], moved)


def test_distance_is_of_position_and_of_rotation():
    pose = some_poses(1)[0]
    step = np.concatenate([[0.3, 0.0, 0.4], rotations.from_rotation_vector(np.array([0.0, 0.2, 0.0]))])
    metres, radians = rigid.distance(pose, rigid.compose(pose, step))
    assert np.isclose(metres, 0.5) and np.isclose(radians, 0.2)
