from itertools import permutations

import numpy as np
import pytest

from ocrrl.rollouts.control_variate import COEFFICIENT, controlled_interval, controlled_limits, controlled_log_e_values
from ocrrl.rollouts.sequential_test import log_e_values


def recorded(states, agreement, seed=0):
    """Scores of a list of states in the cell and in simulation, which agree in so many of them."""
    random = np.random.default_rng(seed)
    scores = random.choice([-1, 0, 1], states, p=(0.1, 0.4, 0.5))
    same = random.random(states) < agreement
    return scores, np.where(same, scores, random.permutation(scores))


def test_an_e_value_has_mean_one_over_all_orders_of_a_list():
    listed, true = np.array([1, 0, 1, -1, 0]), np.array([1, 1, 0, -1, 0])
    orders = np.array(list(permutations(range(5))))
    mean = np.full(len(orders), true.mean())
    log_e = controlled_log_e_values(mean, true[orders], listed[orders], listed, 0.6)
    assert np.exp(log_e[:, :4]).mean(axis=0) == pytest.approx([1.0] * 4)


def test_without_the_simulator_and_from_a_long_list_it_is_the_sequential_test():
    scores, listed = np.array([1, 0, 1, 1, -1, 1, 0, 1]), np.zeros(1_000_000, int)
    counts = np.cumsum(scores[:, None] == (-1, 0, 1), axis=0)
    found = controlled_log_e_values(np.array([0.2]), scores[None], np.zeros((1, 8), int), listed, 0.0)
    assert found[0] == pytest.approx(log_e_values(0.2, counts), abs=1e-4)
    _, high = controlled_limits(0.05, scores[None], np.zeros((1, 8), int), listed, 0.0)
    assert log_e_values(high[0], counts[-1]) == pytest.approx(np.log(20), abs=1e-3)


@pytest.mark.parametrize("agreement", [0.0, 0.9])
def test_the_mean_of_the_list_is_inside_at_all_looks_together(agreement):
    true, listed = recorded(150, agreement)
    order = np.array([np.random.default_rng(seed).permutation(150)[:80] for seed in range(300)])
    mean = np.full(300, true.mean())
    log_e = controlled_log_e_values(mean, true[order], listed[order], listed, COEFFICIENT)
    assert (log_e < np.log(20)).all(axis=1).mean() > 0.95


def test_a_simulator_that_predicts_the_cell_narrows_the_interval_and_another_costs_little():
    ratios = []
    for agreement in (0.9, 0.0):
        true, listed = recorded(1000, agreement)
        order = np.array([np.random.default_rng(seed).permutation(1000)[:60] for seed in range(8)])
        widths = []
        for coefficient in (COEFFICIENT, 0.0):
            low, high = controlled_limits(0.05, true[order], listed[order], listed, coefficient)
            widths.append(np.mean(high - low))
        ratios.append(widths[0] / widths[1])
    assert ratios[0] < 0.85 and ratios[1] < 1.1


def test_a_list_that_was_run_whole_leaves_no_doubt():
    true, listed = recorded(40, 0.5)
    low, high = controlled_limits(0.05, true[None], listed[None], listed)
    assert (low[0], high[0]) == pytest.approx((true.mean(), true.mean()))


def test_an_interval_by_seed_is_that_of_the_pairs_in_their_order():
    true, listed = recorded(50, 0.8)
    successes = {1: (False, True), 0: (True, True), -1: (True, False)}
    simulated = {seed: successes[score] for seed, score in enumerate(listed)}
    order = [7, 3, 41, 0, 19, 22, 30, 11]
    found = controlled_interval(0.05, {seed: successes[true[seed]] for seed in order}, simulated)
    low, high = controlled_limits(0.05, true[None, order], listed[None, order], listed)
    assert (found["low"], found["high"], found["listed_states"]) == (low[0], high[0], 50)
    low, high = controlled_limits(0.05, true[None, order], listed[None, order], listed, 0.0)
    assert (found["low_without_simulator"], found["high_without_simulator"]) == (low[0], high[0])
    with pytest.raises(ValueError, match="among the 50 that were run in simulation, got seed 50"):
        controlled_interval(0.05, {50: (True, True)}, simulated)


def test_variants_that_change_places_change_the_signs():
    true, listed = recorded(60, 0.7)
    low, high = controlled_limits(0.05, true[None, :30], listed[None, :30], listed)
    mirrored_low, mirrored_high = controlled_limits(0.05, -true[None, :30], -listed[None, :30], -listed)
    assert (low[0], high[0]) == pytest.approx((-mirrored_high[0], -mirrored_low[0]), abs=1e-4)


def test_bad_input_is_named():
    scores = np.zeros((1, 3), int)
    with pytest.raises(ValueError, match="1 to the 2 states of the list, got 3"):
        controlled_limits(0.05, scores, scores, np.zeros(2, int))
    with pytest.raises(ValueError, match=r"coefficient must be in \[0, 1\], got 2"):
        controlled_limits(0.05, scores, scores, np.zeros(5, int), 2.0)
