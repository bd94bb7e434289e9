"""Anytime-valid comparison of two variants from paired successes: a verdict after every pair, one level of error for all looks.

A pair's score x is 1 where only the second variant succeeded, -1 where only the first did, 0 else. For each difference d of
success rates (second minus first) there is an e-process. A bet theta in (0, 1) multiplies its stake, pair by pair, by

    f(1) = 2 theta / (1 + d)    f(-1) = 2 (1 - theta) / (1 - d)    f(0) = (f(1) + f(-1)) / 2

which has expectation 1 where the mean of x is d, however often both or none succeed. The e-value of "the difference is d" is
the stake averaged over theta ~ Beta(1/2, 1/2): it reaches 1/level at any look with a chance of at most level (Ville 1939).
The differences whose e-value stays below 1/level are a confidence sequence; the e-value is log-convex in d, so it is
an interval. For d = 0 ties do not count, and the e-value is that of the discordant pairs against a fair coin.
Betting: Waudby-Smith and Ramdas 2024, JRSS B 86:1-27. Mixture: Cover and Ordentlich 1996, IEEE Trans. Inf. Theory 42:348-363.

Legend: looks, one after each pair; counts, the pairs so far with score -1, 0, 1, in this order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict

import numpy as np
from jaxtyping import Float, Int

Decision = Literal["not_yet", "better", "worse", "no_difference", "most_pairs_reached"]
"""`better` or `worse`: the second variant's rate is higher or lower. `no_difference`: the rates differ by less than the least
effect. `not_yet`: the test goes on. `most_pairs_reached`: it ended without a verdict."""
DECISIONS: tuple[Decision, ...] = ("not_yet", "better", "worse", "no_difference", "most_pairs_reached")
_NOT_YET, _BETTER, _WORSE, _NO_DIFFERENCE, _MOST_PAIRS = range(len(DECISIONS))

_UNIFORM: Float[np.ndarray, " bets"] = (np.arange(32) + 0.5) / 32
# Of Beta(1/2, 1/2) by Gauss and Chebyshev: the exact average up to 127 pairs, beyond them that of these bets, as valid.
ARCSINE: Float[np.ndarray, " bets"] = np.sin((np.arange(64) + 0.5) / 64 * np.pi / 2) ** 2
_BISECTIONS = 40


@dataclass(frozen=True)
class StoppingRule:
    """When a paired comparison ends: at a verdict, or after `most_pairs`."""

    level: float = 0.05
    """Greatest chance of `better` or `worse` where the rates are equal; also of `no_difference` where they differ by
    the least effect or more. Each is for all looks together."""
    most_pairs: int = 100
    least_effect: float = 0.2
    """The least difference of success rates that matters."""

    def __post_init__(self) -> None:
        if not 0 < self.level <= 0.5:
            raise ValueError(f"level must be in (0, 0.5], got {self.level}")
        if self.most_pairs < 1:
            raise ValueError(f"most_pairs must be at least 1, got {self.most_pairs}")
        if not 0 < self.least_effect < 1:
            raise ValueError(f"least_effect must be in (0, 1), got {self.least_effect}")

    def fewest_pairs(self) -> int:
        """Pairs before the earliest `better`: the second variant alone succeeded in each. Fewer states cannot tell."""
        pairs = 1
        while log_e_values(0.0, np.array([[0, 0, pairs]])).item() < -np.log(self.level):
            pairs += 1
        return pairs


class SequentialVerdict(TypedDict):
    """What the pairs so far say. `first` and `second` are the variants of a pair."""

    pairs: int
    only_first: int
    only_second: int
    difference: float | None
    """Success rate of the second variant minus the first's; null without a pair."""
    low: float
    high: float
    """Confidence sequence of the difference: right at all looks together with a chance of at least 1 - level."""
    e_value: float
    """Of equal rates, at the last look; at most 1e300."""
    p_value: float
    """Of equal rates, valid at any look: 1 over the largest e-value so far."""
    decision: Decision
    """Of the first look with a verdict; later pairs do not change it."""
    decided_after: int | None
    """Pairs at that look; null without a verdict."""


def sequential_verdict(rule: StoppingRule, pairs: Sequence[tuple[bool, bool]]) -> SequentialVerdict:
    """The verdict on `pairs`: (first variant's success, second variant's), in the order in which they were run.

    Raises ValueError for more pairs than the rule allows.
    """
    if len(pairs) > rule.most_pairs:
        raise ValueError(f"a comparison of at most {rule.most_pairs} pairs must not hold more, got {len(pairs)}")
    scores = np.array([int(second) - int(first) for first, second in pairs], int)
    counts = np.cumsum(scores[:, None] == (-1, 0, 1), axis=0)  # (looks, 3)
    counts = np.concatenate([np.zeros((1, 3), int), counts])  # the look before the first pair
    log_e = log_e_values(0.0, counts)
    low, high = _confidence_sequence(rule.level, counts)
    decided = decisions(rule, counts)
    verdicts = np.flatnonzero((decided != _NOT_YET) & (decided != _MOST_PAIRS))
    only_first, _, only_second = (int(count) for count in counts[-1])
    return {
        "pairs": len(pairs),
        "only_first": only_first,
        "only_second": only_second,
        "difference": (only_second - only_first) / len(pairs) if pairs else None,
        "low": low,
        "high": high,
        "e_value": min(float(np.exp(min(log_e[-1], 700.0))), 1e300),
        "p_value": float(np.exp(-log_e.max())),
        "decision": DECISIONS[decided[verdicts[0] if len(verdicts) else -1]],
        "decided_after": int(verdicts[0]) if len(verdicts) else None,
    }


def decisions(rule: StoppingRule, counts: Int[np.ndarray, "*looks 3"]) -> Int[np.ndarray, " *looks"]:
    """What each look says by itself, as an index into DECISIONS.

    A verdict is an e-value of 1/level or more: of equal rates for `better` and `worse`; for `no_difference` both of a difference
    of the least effect or more in favour of the second variant and of one in favour of the first.
    """
    only_first, only_second = counts[..., 0], counts[..., 2]
    unequal = log_e_values(0.0, counts) >= -np.log(rule.level)
    either_way = (log_e_values_at_least(rule.least_effect, order) for order in (counts, counts[..., ::-1]))
    close = np.minimum(*either_way) >= -np.log(rule.level)
    return np.select(
        [unequal & (only_second > only_first), unequal, close, counts.sum(axis=-1) >= rule.most_pairs],
        [_BETTER, _WORSE, _NO_DIFFERENCE, _MOST_PAIRS],
        _NOT_YET,
    )


def log_e_values(
    difference: float | Float[np.ndarray, " *looks"], counts: Int[np.ndarray, "*looks 3"]
) -> Float[np.ndarray, " *looks"]:
    """Logarithm of the e-value of "the difference is `difference`", one in (-1, 1) for all looks or one for each."""
    d = np.asarray(difference, float)[..., None]
    return _log_average_stake(2 * ARCSINE / (1 + d), 2 * (1 - ARCSINE) / (1 - d), counts)


def log_e_values_at_least(difference: float, counts: Int[np.ndarray, "*looks 3"]) -> Float[np.ndarray, " *looks"]:
    """Logarithm of the e-value of "the difference is `difference` or more".

    Only bets that lose, on average, where the difference is greater: theta uniform on (0, (1 + difference) / 2).
    """
    theta = _UNIFORM * (1 + difference) / 2
    return _log_average_stake(2 * theta / (1 + difference), 2 * (1 - theta) / (1 - difference), counts)


def _log_average_stake(
    second: Float[np.ndarray, "*#looks bets"],
    first: Float[np.ndarray, "*#looks bets"],
    counts: Int[np.ndarray, "*looks 3"],
) -> Float[np.ndarray, " *looks"]:
    """Logarithm of the stake averaged over bets, with f(1) in `second` and f(-1) in `first`."""
    only_first, ties, only_second = np.moveaxis(counts[..., None, :], -1, 0)
    logs = only_first * np.log(first) + ties * np.log((first + second) / 2) + only_second * np.log(second)
    largest = logs.max(axis=-1)
    return np.asarray(largest + np.log(np.mean(np.exp(logs - largest[..., None]), axis=-1)))


def _confidence_sequence(level: float, counts: Int[np.ndarray, "looks 3"]) -> tuple[float, float]:
    """What the intervals of all looks have in common, of looks that begin before the first pair.

    Where they have nothing in common (a chance of at most `level`), what those before had.
    """
    low = np.maximum.accumulate(-_upper_limits(level, counts[:, ::-1]))
    high = np.minimum.accumulate(_upper_limits(level, counts))
    last = np.flatnonzero(low <= high)[-1]
    return float(low[last]), float(high[last])


def _upper_limits(level: float, counts: Int[np.ndarray, "looks 3"]) -> Float[np.ndarray, " looks"]:
    """Greatest difference whose e-value is below 1/level, by bisection between the observed difference, where it is <= 1, and 1."""
    kept = (counts[:, 2] - counts[:, 0]) / np.maximum(counts.sum(axis=-1), 1)
    beyond = np.ones(len(counts))
    for _ in range(_BISECTIONS):
        middle = np.minimum((kept + beyond) / 2, 1 - 1e-12)
        inside = log_e_values(middle, counts) < -np.log(level)
        kept, beyond = np.where(inside, middle, kept), np.where(inside, beyond, middle)
    return beyond
