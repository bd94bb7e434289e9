"""Noise on the residual, more of it in one environment than in another."""

import numpy as np
import pytest

from ocrrl.residual.decisions import exploration_noise
from ocrrl.residual.residual_config import ACTION_UNITS, ResidualConfig


def test_noise_falls_over_the_environments_and_is_clipped():
    config = ResidualConfig(num_envs=5, exploration_std=(0.1, 0.1, 2.0), exploration_least=0.2, exploration_clip=0.5)
    ids = np.repeat(np.arange(5), 4000)
    noise = (exploration_noise(config, ids, np.random.default_rng(0)) / ACTION_UNITS).reshape(5, 4000, 7)
    assert noise[:, :, 0].std(axis=1) == pytest.approx(np.array([0.1, 0.08, 0.06, 0.04, 0.02]), rel=0.1)
    assert np.abs(noise).max() == pytest.approx(0.5)


def test_a_single_environment_explores_with_all_of_the_noise():
    config = ResidualConfig(num_envs=1, exploration_std=(0.1, 0.1, 0.1))
    generator = np.random.default_rng(0)
    noise = np.concatenate([exploration_noise(config, np.array([0]), generator) for _ in range(2000)]) / ACTION_UNITS
    assert noise.std() == pytest.approx(0.1, rel=0.05)
