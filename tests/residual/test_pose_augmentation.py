"""Eq. 4 and 5: what pose noise and dropout may and may not do."""

import numpy as np
import pytest

from ocrrl.interface import rotations
from ocrrl.interface.observations import OBJECT_FEATURES, residual_observation
from ocrrl.residual.pose_augmentation import PoseAugmentation
from ocrrl.tabletop.close_drawer import TASK as CLOSE_DRAWER
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from ocrrl.tabletop.stack_cube import TASK as STACK_CUBE
from tests.residual.toy_environment import ToyEnvironment


def random_poses(n: int, objects: int) -> np.ndarray:
    random = np.random.default_rng(1)
    quaternions = rotations.normalise(random.standard_normal((n, objects, 4)))
    return np.concatenate([random.uniform(-1, 1, (n, objects, 3)), quaternions], axis=-1)


def test_noise_stays_within_its_bounds_and_quaternions_stay_unit():
    poses = random_poses(4000, 2)
    noisy, visible = PoseAugmentation(dropout=0.0).augment(poses, np.random.default_rng(0), STACK_CUBE)
    offset = np.abs(noisy[..., :3] - poses[..., :3])
    angle = rotations.angle_between(noisy[..., 3:], poses[..., 3:])
    np.testing.assert_allclose(np.linalg.norm(noisy[..., 3:], axis=-1), 1.0, atol=1e-9)
    assert 0.004 < offset.max() <= 0.005 and 0.08 < angle.max() <= 0.1 + 1e-6
    assert visible.all()


def test_scale_is_drawn_first_so_that_small_noise_is_the_rule():
    poses = random_poses(20000, 1)
    noisy, _ = PoseAugmentation().augment(poses, np.random.default_rng(0), CUBE_LIFT)
    offset = np.abs(noisy[..., :3] - poses[..., :3])
    np.testing.assert_allclose(offset.mean(), 0.005 / 4, rtol=0.02)  # E|U(-s, s)| with s ~ U(0, max)
    spread = offset.max(-1)[:, 0]
    assert np.corrcoef(offset[:, 0, 0], offset[:, 0, 1])[0, 1] > 0.2, "components share their scale"
    assert (spread < 0.001).mean() > 0.1


def test_rotation_noise_multiplies_on_the_right():
    """q ⊗ e: the noise of the object's own frame is the same whatever the object's orientation."""
    poses = random_poses(500, 1)
    noisy, _ = PoseAugmentation().augment(poses, np.random.default_rng(3), CUBE_LIFT)
    upright = poses.copy()
    upright[..., 3:] = [1.0, 0.0, 0.0, 0.0]
    noise, _ = PoseAugmentation().augment(upright, np.random.default_rng(3), CUBE_LIFT)
    np.testing.assert_allclose(noisy[..., 3:], rotations.multiply(poses[..., 3:], noise[..., 3:]), atol=1e-12)


def test_a_sliding_object_is_displaced_along_its_slide_only():
    poses = random_poses(500, 2)
    noisy, _ = PoseAugmentation().augment(poses, np.random.default_rng(0), CLOSE_DRAWER)
    drawer = noisy[:, 0]
    along = rotations.rotate(rotations.conjugate(poses[:, 0, 3:]), drawer[:, :3] - poses[:, 0, :3])
    np.testing.assert_allclose(along[:, [0, 2]], 0.0, atol=1e-9)
    assert 0.002 < np.abs(along[:, 1]).max() <= np.sqrt(3) * 0.005
    np.testing.assert_allclose(drawer[:, 3:], poses[:, 0, 3:], atol=1e-12)
    assert np.abs(noisy[:, 1] - poses[:, 1]).min(0).max() > 0, "the cabinet is tracked as any object is"


def test_dropout_loses_all_objects_of_an_environment_at_once():
    _, visible = PoseAugmentation(dropout=0.3).augment(random_poses(5000, 3), np.random.default_rng(0), CUBE_LIFT)
    assert (visible.all(1) | ~visible.any(1)).all()
    np.testing.assert_allclose(1 - visible[:, 0].mean(), 0.3, atol=0.02)


def test_object_dropout_loses_objects_one_by_one():
    augmentation = PoseAugmentation(dropout=0.0, object_dropout=0.25)
    _, visible = augmentation.augment(random_poses(5000, 2), np.random.default_rng(0), CUBE_LIFT)
    np.testing.assert_allclose((~visible).mean(0), 0.25, atol=0.02)
    np.testing.assert_allclose((~visible).all(1).mean(), 0.25**2, atol=0.02)


def test_dropout_zeroes_the_whole_vector_with_its_derived_features():
    environment = ToyEnvironment(3)
    environment.reset(np.arange(3), [1, 2, 3])
    observation, base_action = environment.observe(), np.zeros((3, 7))
    observation.object_poses, visible = PoseAugmentation(dropout=1.0).augment(
        observation.object_poses, np.random.default_rng(0), CUBE_LIFT
    )
    state = residual_observation(observation, base_action, visible)
    assert not state[:, :OBJECT_FEATURES].any() and state[:, OBJECT_FEATURES:].any()


@pytest.mark.parametrize(
    ("field", "value"),
    [("dropout", 1.5), ("object_dropout", -0.1), ("max_position_noise", -1.0), ("dropout", float("nan"))],
)
def test_bad_values_are_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"^{field} must be"):
        PoseAugmentation(**{field: value})
