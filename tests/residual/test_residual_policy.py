"""The published policy: what it answers, and what it refuses to be."""

from dataclasses import replace

import numpy as np
import pytest

from ocrrl.interface.observations import residual_observation_dim
from ocrrl.residual.residual_policy import ResidualPolicy, load_residual, save_residual
from tests.residual.toy_environment import TOY_TASK

DIM = residual_observation_dim(TOY_TASK)


def some_policy(dim: int = DIM) -> ResidualPolicy:
    random, sizes = np.random.default_rng(0), (dim, 8, 8, 7)
    weights = {f"weight{i}": random.standard_normal(sizes[i : i + 2]).astype(np.float32) for i in range(3)}
    weights |= {f"bias{i}": random.standard_normal(sizes[i + 1]).astype(np.float32) for i in range(3)}
    return ResidualPolicy(weights, np.full(7, 0.01), layer_norm=True, every=4)


def test_a_saved_policy_loads_the_same_and_stays_within_its_scale(tmp_path):
    policy, states = some_policy(), np.random.default_rng(1).standard_normal((20, DIM)).astype(np.float32)
    save_residual(tmp_path, policy, TOY_TASK, {"seed": 0})
    loaded = load_residual(tmp_path, TOY_TASK)
    np.testing.assert_array_equal(loaded.residual(states), policy.residual(states))
    assert loaded.residual(states).dtype == np.float32 and loaded.residual(states).shape == (20, 7)
    assert np.abs(loaded.residual(100 * states)).max() <= 0.01 + 1e-9


def test_another_tabletop_task_is_refused_by_name(tmp_path):
    save_residual(tmp_path, some_policy(), TOY_TASK, {})
    with pytest.raises(ValueError, match="tabletop_task must be 'stack_cube', got 'cube_lift'"):
        load_residual(tmp_path, replace(TOY_TASK, slug="stack_cube"))


def test_another_observation_is_refused_by_name(tmp_path):
    save_residual(tmp_path, some_policy(DIM + 13), TOY_TASK, {})
    with pytest.raises(ValueError, match=f"observation_dim must be {DIM}, got {DIM + 13}"):
        load_residual(tmp_path, TOY_TASK)


def test_a_missing_file_is_named(tmp_path):
    save_residual(tmp_path, some_policy(), TOY_TASK, {})
    (tmp_path / "actor.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"actor\.safetensors is missing"):
        load_residual(tmp_path, TOY_TASK)
