"""The margin of a gate: p-values by hand, the order of the tests, what is guaranteed."""

import numpy as np
import pytest

from ocrrl.residual.gate_config import GateConfig
from ocrrl.residual.restraint.critic_gate import ALWAYS, NEVER
from ocrrl.residual.restraint.learn_then_test import Course, betting_p, binomial_p, calibrate, certified_count

SETTINGS = GateConfig(margins=(2.0, 1.0), harm=0.1, confidence=0.9, net=False)
NET = GateConfig(margins=(2.0, 1.0), harm=0.1, confidence=0.9)
SOLVED = 60


def test_p_values_are_the_binomial_s():
    assert binomial_p(0, 2, 0.5) == pytest.approx(0.25)
    assert binomial_p(1, 2, 0.5) == pytest.approx(0.75)
    assert binomial_p(2, 2, 0.5) == 1.0
    assert binomial_p(0, 45, 0.05) == pytest.approx(0.95**45), "45 states without a loss are needed for 5% at 90%"
    assert binomial_p(0, 44, 0.05) > 0.1 > binomial_p(0, 45, 0.05)
    assert binomial_p(0, 0, 0.05) == 1.0, "without a state nothing is shown"


def test_tests_end_at_the_first_that_is_not_rejected():
    assert certified_count([0.01, 0.1, 0.11, 0.0], 0.1) == 2
    assert certified_count([0.5, 0.0], 0.1) == 0 and certified_count([], 0.1) == 0


def tried(lost_at, solves_others=0.5, base_solves=SOLVED):
    """A run that loses so many of the base's states at each margin, and solves a share of the others."""
    base, asked = [True] * base_solves + [False] * 40, []

    def run(margin):
        asked.append(margin)
        lost, found = lost_at[margin]
        return [Course(k >= lost, 0.3) for k in range(base_solves)] + [Course(k < found, 0.3) for k in range(40)]

    return base, run, asked


def test_the_best_of_the_certified_margins_is_taken_and_none_after_the_first_failure_is_tried():
    base, run, asked = tried({2.0: (0, 30), 1.0: (20, 40), ALWAYS: (0, 40)})
    found = calibrate(SETTINGS, base, None, run, "sim")
    assert asked == [2.0, 1.0] and (found.margin, found.certified) == (2.0, 1)
    assert (
        found.statement.startswith("with 90% confidence, base + residual loses at most 10%")
        and "sim" in found.statement
    )
    assert "0 of 60" in found.statement and "30% of the steps" in found.statement
    described = found.described()
    assert described["margin"] == 2.0 and [row["lost"] for row in described["tested"]] == [0, 20]


def test_on_ties_the_residual_acts_more_and_always_is_a_margin_too():
    base, run, asked = tried({2.0: (0, 30), 1.0: (1, 39), ALWAYS: (0, 38)})
    assert calibrate(SETTINGS, base, None, run, "sim").margin == ALWAYS, "1.0 solves 98 too"
    assert asked == [2.0, 1.0, ALWAYS]


def test_without_a_certified_margin_the_residual_never_acts_and_that_is_said():
    base, run, _ = tried({2.0: (0, 40)}, base_solves=10)
    found = calibrate(SETTINGS, base, None, run, "twin")
    assert (found.margin, found.certified) == (NEVER, 0) and "the residual never acts" in found.statement
    assert found.described()["margin"] == "never"


def test_another_number_of_states_is_refused():
    with pytest.raises(ValueError, match="a margin must be tried on the base's 3 states, got 1"):
        calibrate(SETTINGS, [True] * 3, None, lambda margin: [Course(True, 1.0)], "sim")


def test_a_margin_beyond_the_limit_is_taken_as_seldom_as_the_confidence_says():
    """All margins do 12% harm where 10% are allowed; states drawn anew each time."""
    random, wrong, times = np.random.default_rng(0), 0, 400
    for _ in range(times):
        base = (random.random(120) < 0.5).tolist()
        kept = random.random((3, 120)) >= 0.12
        margins = dict(zip((2.0, 1.0, ALWAYS), kept, strict=True))
        found = calibrate(
            SETTINGS, base, None, lambda m, margins=margins: [Course(bool(k), 1.0) for k in margins[m]], "sim"
        )
        wrong += found.margin != NEVER
    assert wrong / times <= 0.1


def test_a_bet_s_p_value_by_hand_and_at_its_ends():
    gambles = [np.prod([1 + bet * (0.1 - loss) for loss in (0.0, -1.0)]) for bet in np.linspace(0, 1, 41)[1:]]
    assert betting_p([0.0, -1.0], 0.1) == pytest.approx(1 / np.mean(gambles))
    assert betting_p([], 0.1) == betting_p([1.0] * 50, 0.1) == 1.0
    assert betting_p([0.0] * 100, 0.1) < 0.01 < betting_p([0.0, 1.0] * 50, 0.1)
    assert betting_p([-1.0, 1.0] * 50, 0.1) > betting_p([0.0] * 100, 0.1), "the more it varies the less is known"


@pytest.mark.parametrize(("more", "less"), [(0.1, 0.0), (0.15, 0.05), (0.3, 0.2)])
def test_losses_at_the_limit_are_rejected_as_seldom_as_the_level_says(more, less):
    random, rejected = np.random.default_rng(1), 0
    for _ in range(400):
        drawn = random.random(120)
        losses = np.where(drawn < more, 1.0, np.where(drawn < more + less, -1.0, 0.0))
        rejected += betting_p(losses.tolist(), 0.1) <= 0.1
    assert rejected / 400 <= 0.1


def test_what_a_placebo_loses_too_is_no_harm():
    base, run, _ = tried({2.0: (12, 30), 1.0: (12, 39), ALWAYS: (12, 38)})
    alike = [k >= 12 for k in range(SOLVED)] + [False] * 40
    found = calibrate(NET, base, alike, run, "sim")
    assert (found.margin, found.certified) == (1.0, 3)
    assert "net of those that a placebo loses" in found.statement and "12 of 60, 12 by the placebo" in found.statement
    assert calibrate(NET, base, base, run, "sim").margin == NEVER
    with pytest.raises(ValueError, match=r"a placebo must be run where gate\.net is true, got none"):
        calibrate(NET, base, None, run, "sim")
