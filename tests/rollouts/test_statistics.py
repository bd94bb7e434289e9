from math import sqrt

import pytest

from ocrrl.rollouts.episode_outcome import EpisodeOutcome
from ocrrl.rollouts.statistics import (
    average_difference,
    mcnemar_p,
    newcombe_interval,
    paired_counts,
    rate_difference,
    steps_difference,
    success_summary,
    wilson_interval,
)


def outcomes(*pairs):
    """One outcome for each (success, steps), seeds 0, 1, ..."""
    return [EpisodeOutcome(seed, bool(success), steps, 0.0) for seed, (success, steps) in enumerate(pairs)]


def flags(text):
    return outcomes(*((letter == "1", 10) for letter in text))


def test_wilson_by_hand():
    z = 1.959963984540054
    p, n = 0.3, 10
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert wilson_interval(3, 10) == pytest.approx((centre - half, centre + half))
    assert wilson_interval(3, 10) == pytest.approx((0.1078, 0.6032), abs=1e-4)
    assert wilson_interval(95, 100) == pytest.approx((0.8882, 0.9785), abs=1e-4)


@pytest.mark.parametrize("episodes", [1, 20, 100])
def test_wilson_reaches_the_ends_and_mirrors(episodes):
    assert wilson_interval(0, episodes)[0] == 0.0
    assert wilson_interval(episodes, episodes)[1] == 1.0
    low, high = wilson_interval(episodes // 3, episodes)
    assert wilson_interval(episodes - episodes // 3, episodes) == pytest.approx((1 - high, 1 - low))


def test_wilson_refuses_what_is_no_count():
    with pytest.raises(ValueError, match="episodes must be at least 1, got 0"):
        wilson_interval(0, 0)
    with pytest.raises(ValueError, match=r"successes must be in \[0, 5\], got 6"):
        wilson_interval(6, 5)


def test_newcombe_method_10_gives_the_published_example():
    # Newcombe 1998's example: the pairs 36, 12, 2, 0 differ by 0.2, by method 10 from 0.0569 to 0.3404.
    assert newcombe_interval(36, 12, 2, 0) == pytest.approx((0.0569, 0.3404), abs=5e-5)


def test_newcombe_mirrors_when_the_variants_change_places():
    low, high = newcombe_interval(40, 30, 5, 25)
    assert newcombe_interval(40, 5, 30, 25) == pytest.approx((-high, -low))
    assert low < 0.25 < high


@pytest.mark.parametrize("counts", [(10, 0, 0, 0), (0, 0, 0, 10), (5, 0, 0, 5), (0, 10, 0, 0), (1, 0, 0, 0)])
def test_newcombe_stays_within_minus_one_and_one_at_the_edges(counts):
    low, high = newcombe_interval(*counts)
    difference = (counts[1] - counts[2]) / sum(counts)
    assert -1 <= low <= difference <= high <= 1


def test_mcnemar_by_hand():
    assert mcnemar_p(0, 5) == pytest.approx(2 / 32)
    assert mcnemar_p(1, 5) == pytest.approx(2 * (1 + 6) / 64)
    assert mcnemar_p(0, 0) == 1.0
    assert mcnemar_p(3, 3) == 1.0
    assert mcnemar_p(2, 9) == mcnemar_p(9, 2)


def test_paired_counts_and_their_difference():
    base, residual = flags("1100"), flags("1011")
    assert paired_counts(base, residual) == {"both": 1, "only_base": 1, "only_residual": 2, "neither": 0}
    difference = rate_difference(base, residual)
    assert difference["difference"] == pytest.approx(0.25)
    assert (difference["low"], difference["high"]) == pytest.approx(newcombe_interval(1, 2, 1, 0))
    assert difference["mcnemar_p"] == 1.0


def test_variants_of_other_seeds_are_no_pair():
    with pytest.raises(ValueError, match="same seeds in the same order, got 2 and 3 episodes"):
        paired_counts(flags("10"), flags("100"))
    with pytest.raises(ValueError, match="same seeds"):
        paired_counts(flags("10"), list(reversed(flags("10"))))


def test_summary_counts_the_length_of_successes_only():
    assert success_summary(outcomes((1, 10), (0, 120), (1, 20), (0, 120))) == {
        "successes": 2,
        "episodes": 4,
        "success_rate": 0.5,
        "wilson_low": wilson_interval(2, 4)[0],
        "wilson_high": wilson_interval(2, 4)[1],
        "mean_steps_success": 15.0,
    }
    assert success_summary(flags("00"))["mean_steps_success"] is None


def test_lengths_are_compared_where_both_succeeded():
    base = outcomes((1, 100), (1, 80), (0, 120), (1, 60))
    residual = outcomes((1, 80), (1, 70), (1, 50), (0, 120))
    result = steps_difference(base, residual)
    assert (result["pairs"], result["mean_first"], result["mean_second"]) == (2, 90.0, 75.0)
    assert (result["difference"], result["relative"]) == (-15.0, pytest.approx(-15 / 90))
    assert (result["low"], result["high"]) == (-20.0, -10.0)
    assert result == steps_difference(base, residual)


def test_lengths_without_pairs_are_unknown():
    assert steps_difference(flags("10"), flags("01"))["difference"] is None
    one = steps_difference(flags("1"), flags("1"))
    assert (one["difference"], one["low"]) == (0.0, None)


def test_average_difference_by_hand():
    # Gained in all of 4 states; gained in 1 and lost in 1 of 4: differences 1 and 0, rates (0, 1) and (0.5, 0.5).
    first = [(seed, False, True) for seed in range(4)]
    second = [(0, True, False), (1, False, True), (2, True, True), (3, False, False)]
    found = average_difference([first, second])
    assert (found["tasks"], found["first"], found["second"], found["difference"]) == (2, 0.25, 0.75, 0.5)
    # The first never varies; the second's mean of 4 draws of -1, 0, 0, 1 is halved. P(mean of 4 <= -3/4) = (1 + 8) / 256
    # = 3.5%, P(mean <= -1) = 1 / 256 = 0.4%: the 2.5% quantile is at -3/4, the 97.5% one at 3/4.
    assert (found["low"], found["high"]) == (0.5 - 0.375, 0.5 + 0.375)
    assert found == average_difference([first, second])


def test_average_difference_has_the_width_of_the_strata_s_variances():
    gains_in_half = [(seed, False, seed % 2 == 0) for seed in range(100)]
    found = average_difference([gains_in_half, gains_in_half])
    half = 1.96 * sqrt(2 * (0.25 / 100) / 4)
    assert (found["low"], found["high"]) == pytest.approx((0.5 - half, 0.5 + half), abs=0.008)


def test_tasks_count_alike_however_many_states_they_have():
    assert average_difference([[(0, False, True)], [(seed, False, False) for seed in range(99)]])["difference"] == 0.5


def test_states_that_residual_seeds_share_are_drawn_together():
    one_seed = [(seed, False, seed % 2 == 0) for seed in range(20)]
    assert average_difference([one_seed * 3]) == average_difference([one_seed])


def test_an_average_needs_pairs_of_every_task():
    with pytest.raises(ValueError, match=r"must have pairs, got \[1, 0\] pairs"):
        average_difference([[(0, True, True)], []])
    with pytest.raises(ValueError, match=r"got \[\] pairs"):
        average_difference([])
