import numpy as np
import pytest

from ocrrl.rollouts.sequential_power import decision_table, least_detectable_effect, prospects
from ocrrl.rollouts.sequential_test import DECISIONS, StoppingRule, decisions

RULE = StoppingRule(most_pairs=30)


def test_chances_by_hand_where_every_pair_is_won():
    assert prospects(RULE, 1.0, 1.0) == pytest.approx(
        {"better": 1.0, "worse": 0.0, "no_difference": 0.0, "most_pairs_reached": 0.0, "mean_pairs": 7.0}
    )
    # Seven pairs in a row are decided if one variant won them all, which of two equal ones do with 2 / 2^7.
    seven = prospects(StoppingRule(most_pairs=7), 0.0, 1.0)
    assert seven["better"] == seven["worse"] == pytest.approx(1 / 2**7)


@pytest.mark.parametrize(("difference", "discordance"), [(0.4, 0.6), (0.05, 0.05)])
def test_chances_are_those_of_comparisons_that_are_run(difference, discordance):
    chances = [(discordance - difference) / 2, 1 - discordance, (discordance + difference) / 2]
    drawn = np.random.default_rng(0).choice([-1, 0, 1], (2000, 30), p=chances)
    looks = decisions(RULE, np.cumsum(drawn[..., None] == (-1, 0, 1), axis=1))
    last = np.argmax(looks > 0, axis=1)
    ends = looks[np.arange(2000), last]
    expected = prospects(RULE, difference, discordance)
    for decision in ("better", "no_difference", "most_pairs_reached"):
        assert np.mean(ends == DECISIONS.index(decision)) == pytest.approx(expected[decision], abs=0.04)
    assert np.mean(last + 1) == pytest.approx(expected["mean_pairs"], abs=0.6)


def test_chances_sum_to_one_and_mirror():
    found, mirrored = prospects(RULE, 0.3, 0.5), prospects(RULE, -0.3, 0.5)
    assert sum(found[name] for name in DECISIONS if name != "not_yet") == pytest.approx(1.0)
    assert (found["better"], found["worse"]) == pytest.approx((mirrored["worse"], mirrored["better"]))


@pytest.mark.parametrize("discordance", [0.1, 0.5, 1.0])
def test_equal_rates_are_told_apart_less_often_than_the_level(discordance):
    found = prospects(RULE, 0.0, discordance)
    assert 0 < found["better"] + found["worse"] < RULE.level


def test_the_least_detectable_effect_is_found_as_often_as_asked():
    effect = least_detectable_effect(RULE, 0.6)
    assert effect is not None
    assert prospects(RULE, effect, 0.6)["better"] == pytest.approx(0.8, abs=1e-4)
    more = least_detectable_effect(StoppingRule(most_pairs=60), 0.6)
    assert more is not None and more < effect


def test_no_effect_can_be_found_where_the_variants_disagree_too_seldom():
    assert least_detectable_effect(RULE, 0.1) is None


def test_the_table_says_what_a_look_says():
    table = decision_table(RULE)
    assert DECISIONS[table[7, 0, 7]] == "better" and DECISIONS[table[9, 7, 0]] == "worse"
    assert DECISIONS[table[20, 0, 0]] == "no_difference" and DECISIONS[table[19, 0, 0]] == "not_yet"
    assert DECISIONS[table[30, 10, 10]] == "most_pairs_reached" and table[5, 3, 3] == 0


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"difference 0.5, discordance 0.4"):
        prospects(RULE, 0.5, 0.4)
    with pytest.raises(ValueError, match=r"power must be in \(0, 1\), got 80"):
        least_detectable_effect(RULE, 0.5, 80)
    with pytest.raises(ValueError, match="at most 400, got 401"):
        prospects(StoppingRule(most_pairs=401), 0.0, 0.5)
