"""Potential-based shaping."""

import numpy as np

from ocrrl.residual.n_step_returns import potential, shaped

GAMMA = 0.9
REWARD = np.array([0.2, 0.2, 0.5, 0.3, 0.8])
NEVER = np.zeros(5, bool)


def test_without_a_weight_the_reward_is_as_it_was():
    np.testing.assert_array_equal(shaped(REWARD, np.zeros(5), REWARD, 0.0, GAMMA), REWARD)


def test_with_the_full_weight_only_changes_count():
    before = np.array([np.nan, *REWARD[:-1]])
    got = shaped(REWARD, before, potential(REWARD, NEVER), 1 / (1 - GAMMA), GAMMA)
    np.testing.assert_allclose(got, np.array([0.0, 0.0, 0.3, -0.2, 0.5]) / (1 - GAMMA), atol=1e-12)


def test_a_return_changes_only_by_the_potentials_of_both_ends():
    before, discount = np.array([0.1, *REWARD[:-1]]), GAMMA ** np.arange(5)
    for weight in (0.5, 3.0):
        difference = discount @ (shaped(REWARD, before, REWARD, weight, GAMMA) - REWARD)
        np.testing.assert_allclose(difference, weight * (GAMMA**5 * REWARD[-1] - 0.1))


def test_success_is_the_highest_potential():
    np.testing.assert_array_equal(potential(np.array([0.4, 0.7]), np.array([True, False])), [1.0, 0.7])
