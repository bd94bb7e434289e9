"""Harmed share and net harm by hand, their intervals, bad input."""

import numpy as np
import pytest

from ocrrl.rollouts.harm import SolvedStates, gain, harmed_share, net_harm


def states(base, policy, placebo=None):
    return SolvedStates(
        *(None if text is None else np.array([c == "1" for c in text], float) for text in (base, policy, placebo))
    )


def test_harm_is_counted_on_the_states_that_the_base_solves():
    task = states("11110000", "10111100", "11010000")
    assert harmed_share([task]).value == 0.25 and net_harm([task]).value == 0.0
    assert gain([task]).value == pytest.approx(1 / 8)
    assert net_harm([states("1111", "0011", "1110")]).value == 0.25


def test_tasks_count_alike_and_several_seeds_by_their_mean():
    half = SolvedStates(np.array([1.0, 1.0]), np.array([0.5, 1.0]))
    assert harmed_share([half]).value == 0.25
    assert harmed_share([half, states("1" * 50, "1" * 50)]).value == 0.125


def test_the_interval_is_paired_and_holds_the_value():
    random = np.random.default_rng(0)
    base = random.random(300) < 0.5
    flips = random.random(300) < 0.1
    same = SolvedStates(base.astype(float), (~flips).astype(float), (~flips).astype(float))
    net = net_harm([same])
    assert net.value == 0.0 and -0.02 < net.low < 0.0 < net.high < 0.02, "what the placebo loses too is no harm"
    found = harmed_share([same])
    assert found.low < found.value < found.high and found.high - found.low < 0.15


def test_that_nothing_was_lost_of_a_few_states_leaves_harm_possible():
    few, many = (states("1" * n, "1" * n, "1" * n) for n in (30, 300))
    assert harmed_share([few]).value == 0.0 and 0.05 < harmed_share([few]).high < 0.1
    assert harmed_share([many]).high < 0.01 and net_harm([few]).high > 0.05


def test_intervals_hold_the_truth_nineteen_times_of_twenty():
    random, lost, placebo_lost = np.random.default_rng(0), 0.05, 0.03
    held = 0
    for _ in range(200):
        draws = random.random((2, 33))
        found = net_harm([SolvedStates(np.ones(33), (draws[0] >= lost) * 1.0, (draws[1] >= placebo_lost) * 1.0)])
        held += found.low <= lost - placebo_lost <= found.high
    assert held >= 185


def test_without_a_solved_state_or_a_placebo_there_is_no_number():
    assert harmed_share([states("0000", "1111")]) is None
    assert net_harm([states("11", "11")]) is None
    assert net_harm([states("11", "11", "11"), states("11", "11")]) is None


@pytest.mark.wrong_shapes
def test_policies_of_different_states_are_refused():
    with pytest.raises(ValueError, match=r"same initial states, at least one, got \[2, 3\] states"):
        states("11", "111")
    with pytest.raises(ValueError, match="at least one"):
        states("", "")
