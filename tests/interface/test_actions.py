import numpy as np
import pytest
import torch

from ocrrl.interface import rotations
from ocrrl.interface.actions import (
    ACTION_HIGH,
    ACTION_LOW,
    MAX_ROTATION_STEP,
    ROTATION_LEASH,
    TRANSLATION_LEASH,
    advance_command,
    applied_action,
    compose,
    gripper_opening,
    limit,
)


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def random_actions(generator, count):
    return limit(generator.uniform(1.2 * ACTION_LOW, 1.2 * ACTION_HIGH, (count, 7)))


def test_a_zero_residual_leaves_the_base_action_as_it_is(generator):
    base = random_actions(generator, 50)
    np.testing.assert_allclose(compose(base, np.zeros((50, 7))), base, atol=1e-7)


def test_composition_adds_translation_and_gripper_and_multiplies_rotations(generator):
    base, residual = 0.4 * random_actions(generator, 50), 0.2 * random_actions(generator, 50)
    combined = compose(base, residual)
    np.testing.assert_allclose(combined[:, :3], base[:, :3] + residual[:, :3])
    np.testing.assert_allclose(combined[:, 6], base[:, 6] + residual[:, 6])
    product = rotations.multiply(
        rotations.from_rotation_vector(base[:, 3:6]), rotations.from_rotation_vector(residual[:, 3:6])
    )
    np.testing.assert_allclose(rotations.from_rotation_vector(combined[:, 3:6]), product, atol=1e-6)


def test_the_combined_action_keeps_the_step_limits(generator):
    combined = compose(random_actions(generator, 200), random_actions(generator, 200))
    assert (combined <= ACTION_HIGH + 1e-7).all() and (combined >= ACTION_LOW - 1e-7).all()
    assert np.linalg.norm(combined[:, 3:6], axis=-1).max() <= MAX_ROTATION_STEP + 1e-7


def test_torch_composes_the_same_numbers_and_passes_gradients(generator):
    base, residual = random_actions(generator, 20), 0.3 * random_actions(generator, 20)
    residual[0, 3:6] = 0.0
    tensor = torch.tensor(residual, requires_grad=True)
    combined = compose(torch.tensor(base), tensor)
    np.testing.assert_allclose(combined.detach().numpy(), compose(base, residual), atol=1e-9)
    combined.sum().backward()
    assert torch.isfinite(tensor.grad).all() and tensor.grad.abs().sum() > 0


def test_the_gripper_map_lets_a_residual_overrule_a_fully_open_base():
    assert gripper_opening(np.array([0.0, 0.25, 0.5, 0.75, 1.0])).tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
    closing = compose(np.array([0, 0, 0, 0, 0, 0, 1.0]), np.array([0, 0, 0, 0, 0, 0, -0.75]))
    assert gripper_opening(closing[6]) == 0.0


def test_a_blocked_arm_does_not_wind_up_its_command(generator):
    measured = np.tile([0.5, 0.0, 0.1, 0.0, 1.0, 0.0, 0.0], (4, 1))
    commanded = measured.copy()
    push = np.tile([0.02, -0.01, -0.02, 0.06, 0.0, 0.08, 1.0], (4, 1))
    for _ in range(20):
        commanded = advance_command(commanded, measured, push)
    assert np.linalg.norm(commanded[:, :3] - measured[:, :3], axis=-1).max() <= TRANSLATION_LEASH + 1e-9
    assert rotations.angle_between(commanded[:, 3:], measured[:, 3:]).max() <= ROTATION_LEASH + 1e-6
    np.testing.assert_allclose(np.linalg.norm(commanded[:, 3:], axis=-1), 1.0)


FROM = np.array([0.5, 0.0, 0.1, 0.0, 1.0, 0.0, 0.0])


def test_what_was_applied_is_what_was_asked_to_the_last_bit_where_nothing_was_limited(generator):
    for asked in random_actions(generator, 50):
        following = advance_command(FROM, FROM, asked)
        np.testing.assert_array_equal(applied_action(asked, FROM, following, 0.0), asked)


def test_what_was_applied_takes_the_command_to_where_a_limit_left_it(generator):
    for asked in random_actions(generator, 50):
        measured = FROM + np.array([*generator.uniform(-0.06, 0.06, 3), *np.zeros(4)])
        following = advance_command(FROM, measured, asked)
        applied = applied_action(asked, FROM, following, 0.0)
        assert applied[6] == asked[6]
        np.testing.assert_allclose(advance_command(FROM, FROM, applied), following, atol=1e-9)


def test_what_was_refused_is_no_motion_with_the_gripper_as_it_was(generator):
    (asked,) = random_actions(generator, 1)
    np.testing.assert_array_equal(applied_action(asked, FROM, None, 0.25), [0, 0, 0, 0, 0, 0, 0.25])
