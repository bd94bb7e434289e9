from itertools import pairwise
from math import comb, exp, lgamma, log, pi

import numpy as np
import pytest

from ocrrl.rollouts.sequential_test import (
    DECISIONS,
    StoppingRule,
    decisions,
    log_e_values,
    log_e_values_at_least,
    sequential_verdict,
)

RULE = StoppingRule()
ONLY_FIRST, BOTH, NEITHER, ONLY_SECOND = (True, False), (True, True), (False, False), (False, True)


def counts(*rows):
    """Pairs with score -1, 0, 1."""
    return np.array(rows)


def drawn(replays, pairs, difference, discordance, seed=0):
    """Counts after each pair, (replays, pairs, 3)."""
    chances = [(discordance - difference) / 2, 1 - discordance, (discordance + difference) / 2]
    scores = np.random.default_rng(seed).choice([-1, 0, 1], (replays, pairs), p=chances)
    return np.cumsum(scores[..., None] == (-1, 0, 1), axis=1)


@pytest.mark.parametrize(("a", "b"), [(0, 0), (0, 7), (3, 4), (10, 25), (60, 60)])
def test_the_e_value_of_equal_rates_is_that_of_a_coin_and_ties_do_not_count(a, b):
    n = a + b
    by_hand = n * log(2) + lgamma(a + 0.5) + lgamma(b + 0.5) - lgamma(n + 1) - log(pi)
    assert log_e_values(0.0, counts((a, 0, b), (a, 7, b))) == pytest.approx([by_hand, by_hand], abs=1e-9)


def test_e_values_of_one_and_two_pairs_by_hand():
    # Mean of theta over Beta(1/2, 1/2): 1/2; of theta^2: 3/8; of theta (1 - theta): 1/8.
    found = np.exp(log_e_values(0.0, counts((0, 0, 1), (0, 0, 2), (1, 0, 1))))
    assert found == pytest.approx([1.0, 4 * 3 / 8, 4 * 1 / 8])
    # At d = 1/2: f(1) = 4/3 theta, f(-1) = 4 (1 - theta), f(0) = 2 - 4/3 theta.
    assert np.exp(log_e_values(0.5, counts((0, 0, 1), (1, 0, 0), (0, 1, 0)))) == pytest.approx([2 / 3, 2, 4 / 3])


@pytest.mark.parametrize(("difference", "discordance"), [(0.0, 1.0), (0.3, 0.5), (-0.6, 0.6)])
def test_an_e_value_has_mean_one_at_the_true_difference(difference, discordance):
    chances = ((discordance - difference) / 2, 1 - discordance, (discordance + difference) / 2)
    pairs, mean, mean_at_least = 9, 0.0, 0.0
    for a in range(pairs + 1):
        for b in range(pairs + 1 - a):
            ties = pairs - a - b
            chance = comb(pairs, a) * comb(pairs - a, b) * chances[0] ** a * chances[1] ** ties * chances[2] ** b
            mean += chance * exp(log_e_values(difference, counts(a, ties, b)))
            mean_at_least += chance * exp(log_e_values_at_least(difference - 0.1, counts(a, ties, b)))
    assert mean == pytest.approx(1.0)
    assert mean_at_least < 1.0  # of a difference that is greater than the one tested


def test_wrong_verdicts_stay_below_the_level_with_a_look_after_every_pair():
    for discordance in (0.2, 1.0):
        looks = decisions(RULE, drawn(1000, 60, 0.0, discordance))
        assert np.isin(looks, [DECISIONS.index("better"), DECISIONS.index("worse")]).any(axis=1).mean() < 0.05
    for difference in (0.2, -0.2):
        looks = decisions(RULE, drawn(1000, 60, difference, 0.2))
        assert 0 < (looks == DECISIONS.index("no_difference")).any(axis=1).mean() < 0.05


@pytest.mark.parametrize(("difference", "discordance"), [(0.0, 0.3), (0.5, 0.6), (-0.9, 0.9)])
def test_the_confidence_sequence_holds_the_difference_at_all_looks_together(difference, discordance):
    log_e = log_e_values(difference, drawn(500, 60, difference, discordance))
    assert (log_e < log(20)).all(axis=1).mean() > 0.95


def test_the_confidence_sequence_ends_where_the_e_value_is_20():
    verdict = sequential_verdict(RULE, [ONLY_SECOND, BOTH, ONLY_SECOND, NEITHER, ONLY_SECOND, ONLY_FIRST])
    assert verdict["low"] < verdict["difference"] < verdict["high"]
    assert log_e_values(verdict["high"], counts(1, 2, 3)) == pytest.approx(log(20))


def test_the_e_value_is_log_convex_in_the_difference_so_that_the_sequence_is_an_interval():
    grid = np.linspace(-0.98, 0.98, 99)
    for pairs in ((0, 5, 0), (3, 20, 9), (40, 1, 2)):
        along = log_e_values(grid, np.tile(pairs, (99, 1)))
        assert (np.diff(along, 2) > -1e-9).all()


def test_later_looks_only_narrow_the_sequence_and_never_raise_p():
    random = np.random.default_rng(3)
    pairs = [(bool(first), bool(second)) for first, second in random.random((40, 2)) < (0.4, 0.7)]
    looks = [sequential_verdict(RULE, pairs[:n]) for n in range(0, 41, 2)]
    for earlier, later in pairwise(looks):
        assert earlier["low"] <= later["low"] <= later["high"] <= earlier["high"]
        assert later["p_value"] <= earlier["p_value"]
        assert later["decided_after"] == (earlier["decided_after"] or later["decided_after"])


def test_a_sequence_that_would_end_up_empty_keeps_what_it_had():
    verdict = sequential_verdict(StoppingRule(most_pairs=400), [ONLY_SECOND] * 40 + [ONLY_FIRST] * 360)
    assert -1 < verdict["low"] <= verdict["high"] < 1
    assert (verdict["decision"], verdict["decided_after"]) == ("better", 7)


def test_variants_that_change_places_change_the_signs():
    pairs = [ONLY_SECOND, BOTH, ONLY_SECOND, ONLY_FIRST, NEITHER, *[ONLY_SECOND] * 9]
    one, other = (sequential_verdict(RULE, [pair[::step] for pair in pairs]) for step in (1, -1))
    assert (one["decision"], other["decision"]) == ("better", "worse")
    assert one["decided_after"] == other["decided_after"]
    assert (one["low"], one["high"]) == pytest.approx((-other["high"], -other["low"]))
    assert (one["e_value"], one["p_value"]) == pytest.approx((other["e_value"], other["p_value"]))
    assert (one["only_first"], one["only_second"], one["difference"]) == (1, 11, pytest.approx(10 / 14))


def test_seven_states_that_only_one_variant_solves_are_the_fewest_for_a_verdict():
    assert RULE.fewest_pairs() == 7 and StoppingRule(level=0.5).fewest_pairs() == 3
    assert sequential_verdict(RULE, [ONLY_SECOND] * 6)["decision"] == "not_yet"
    verdict = sequential_verdict(RULE, [NEITHER, *[ONLY_SECOND] * 7])
    assert (verdict["decision"], verdict["decided_after"], verdict["pairs"]) == ("better", 8, 8)
    assert verdict["e_value"] == pytest.approx(1 / verdict["p_value"]) and verdict["low"] > 0


def test_a_verdict_stays_what_it_is_when_later_pairs_say_otherwise():
    verdict = sequential_verdict(RULE, [*[ONLY_SECOND] * 7, *[ONLY_FIRST] * 7])
    assert (verdict["decision"], verdict["decided_after"], verdict["pairs"]) == ("better", 7, 14)
    assert verdict["e_value"] < 1 < 1 / verdict["p_value"]


def test_variants_that_agree_in_every_state_do_not_differ_by_much():
    verdict = sequential_verdict(RULE, [BOTH] * 30)
    assert (verdict["decision"], verdict["decided_after"], verdict["e_value"]) == ("no_difference", 20, 1.0)
    assert -RULE.least_effect < verdict["low"] < 0 < verdict["high"] < RULE.least_effect
    # A smaller effect takes more pairs to be excluded.
    assert sequential_verdict(StoppingRule(least_effect=0.1), [BOTH] * 30)["decision"] == "not_yet"


def test_a_comparison_without_a_verdict_ends_after_the_most_pairs():
    verdict = sequential_verdict(StoppingRule(most_pairs=4), [ONLY_FIRST, ONLY_SECOND] * 2)
    assert (verdict["decision"], verdict["decided_after"]) == ("most_pairs_reached", None)


def test_before_the_first_pair_nothing_is_known():
    assert sequential_verdict(RULE, []) == {
        "pairs": 0,
        "only_first": 0,
        "only_second": 0,
        "difference": None,
        "low": -1.0,
        "high": 1.0,
        "e_value": 1.0,
        "p_value": 1.0,
        "decision": "not_yet",
        "decided_after": None,
    }


def test_an_e_value_stays_a_number_that_json_can_hold():
    verdict = sequential_verdict(StoppingRule(most_pairs=1100), [ONLY_SECOND] * 1100)
    assert (verdict["e_value"], verdict["high"]) == (1e300, 1.0) and 0.9 < verdict["low"] < 1


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"level": 0.0}, r"level must be in \(0, 0.5\], got 0.0"),
        ({"level": float("nan")}, "level must be in"),
        ({"most_pairs": 0}, "most_pairs must be at least 1, got 0"),
        ({"least_effect": 1.0}, r"least_effect must be in \(0, 1\), got 1.0"),
    ],
)
def test_a_stopping_rule_is_checked(rule, said):
    with pytest.raises(ValueError, match=said):
        StoppingRule(**rule)


def test_more_pairs_than_were_planned_are_refused():
    with pytest.raises(ValueError, match="at most 3 pairs must not hold more, got 4"):
        sequential_verdict(StoppingRule(most_pairs=3), [BOTH] * 4)
