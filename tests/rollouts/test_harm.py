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
    assert (net_harm([same]).low, net_harm([same]).high) == (0.0, 0.0), "what the placebo loses too is no harm"
    found = harmed_share([same])
    assert found.low < found.value < found.high and found.high - found.low < 0.15


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
