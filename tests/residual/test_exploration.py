"""Noise that falls, and episodes that start where a demonstration was."""

import numpy as np
import pytest

from ocrrl.residual.exploration import LEAST_LEFT, annealed, exploration_noise, start_from_demonstrations
from ocrrl.residual.residual_config import ACTION_UNITS, ResidualConfig
from ocrrl.residual.train_residual import train_residual
from tests.residual.toy_environment import ToyBase, ToyEnvironment, demonstrations


class Placed(ToyEnvironment):
    """A toy that remembers where it was put."""

    def __init__(self, num_envs):
        super().__init__(num_envs)
        self.placed = []

    def reset_to(self, ids, joint_positions, gripper_width, object_poses):
        self.placed.append((ids.copy(), gripper_width, object_poses))


def test_noise_falls_in_proportion_and_is_clipped():
    config = ResidualConfig(exploration_std=(0.1, 0.1, 2.0), exploration_end=0.2, exploration_clip=0.5)
    first, last = (
        exploration_noise(config, 20_000, progress, np.random.default_rng(0)) / ACTION_UNITS for progress in (0.0, 1.0)
    )
    assert first[:, 0].std() == pytest.approx(0.1, rel=0.05) and last[:, 0].std() == pytest.approx(0.02, rel=0.05)
    assert np.abs(first).max() == pytest.approx(0.5)
    assert annealed(0.2, 0.5) == pytest.approx(0.6)


def test_a_share_of_the_episodes_starts_at_a_step_of_a_demonstration():
    environment, episodes, ids = Placed(40), demonstrations(3), np.arange(40) + 100
    steps = start_from_demonstrations(environment, ids, episodes, 0.5, np.random.default_rng(0))
    ((moved, widths, poses),) = environment.placed
    assert 8 <= len(moved) <= 32 and set(np.flatnonzero(steps)) <= set(moved - 100)
    for env, width, pose in zip(moved, widths, poses, strict=True):
        t = steps[env - 100]
        assert any(
            t < max(len(e.action) - LEAST_LEFT, 1)
            and np.array_equal(e.observation.object_poses[t], pose)
            and e.observation.gripper_width[t] == width
            for e in episodes
        )


def test_without_a_share_or_demonstrations_nothing_is_moved():
    environment, ids = Placed(4), np.arange(4)
    for episodes, share in ((demonstrations(1), 0.0), ([], 1.0)):
        assert not start_from_demonstrations(environment, ids, episodes, share, np.random.default_rng(0)).any()
    assert environment.placed == []


def test_an_environment_that_cannot_take_up_a_state_is_refused(tmp_path):
    config = ResidualConfig(num_envs=2, demonstration_starts=0.5)
    with pytest.raises(ValueError, match=r"demonstration_starts must be 0 .* got 0\.5"):
        train_residual(config, ToyEnvironment(2), ToyBase(2), [], tmp_path / "work", tmp_path / "out", 0)
