"""Confidence sequence of a paired difference with the simulator's outcomes as a control variate.

A comparison's initial states are drawn at random from a list of N; the whole list was run in simulation. Pair i scores x_i in the cell
and s_i in simulation (1, 0 or -1, as in the sequential test). What is estimated is d, the mean of x over the list. Before pair i,
the states that are left have the means

    d_i = (N d - x_1 - ... - x_{i-1}) / (N - i + 1)    m_i = (the list's sum of s - s_1 - ... - s_{i-1}) / (N - i + 1)

so that y_i = x_i - c (s_i - m_i) has the mean d_i whatever the simulator is worth, and varies less than x_i where it predicts
the cell. The stakes are those of the sequential test, with y_i in [l, h] in place of a score in [-1, 1]:

    theta (y_i - l) / (d_i - l) + (1 - theta) (h - y_i) / (h - d_i)

Without replacement: Waudby-Smith and Ramdas 2020, NeurIPS 33. Prediction-powered inference: Angelopoulos et al. 2023,
Science 382:669-674. Legend: R comparisons side by side, of n pairs each.
"""

from collections.abc import Callable, Mapping
from typing import TypedDict

import numpy as np
from jaxtyping import Bool, Float, Int

from ocrrl.rollouts.sequential_test import ARCSINE

COEFFICIENT = 0.3
"""c: on recorded outcomes it narrows the interval where the simulator predicts the cell, and costs little where it does not."""
_SEARCHES = 24

Scores = Int[np.ndarray, "R n"]
Rates = Float[np.ndarray, " R"]


class ControlledInterval(TypedDict):
    """The difference of success rates over a list of states, second variant minus first; limits as of the confidence sequence."""

    listed_states: int
    low: float
    high: float
    low_without_simulator: float
    high_without_simulator: float


def controlled_interval(
    level: float, pairs: Mapping[int, tuple[bool, bool]], simulated: Mapping[int, tuple[bool, bool]]
) -> ControlledInterval:
    """Limits with and without the control variate, of (first variant's success, second's) by seed, in the order of the runs.

    `simulated` holds the whole list, of which the states of `pairs` are a random part. Raises ValueError where it lacks one of them.
    """
    if missing := [seed for seed in pairs if seed not in simulated]:
        raise ValueError(
            f"every state of the comparison must be among the {len(simulated)} that were run in simulation, got seed {missing[0]}"
        )
    scores, same_states, listed = (
        np.array([int(second) - int(first) for first, second in successes], int)
        for successes in (pairs.values(), [simulated[seed] for seed in pairs], simulated.values())
    )
    limits = [
        float(limit[0])
        for coefficient in (COEFFICIENT, 0.0)
        for limit in controlled_limits(level, scores[None], same_states[None], listed, coefficient)
    ]
    low, high, low_without, high_without = limits
    return {
        "listed_states": len(listed),
        "low": low,
        "high": high,
        "low_without_simulator": low_without,
        "high_without_simulator": high_without,
    }


def controlled_limits(
    level: float, scores: Scores, simulated: Scores, listed: Int[np.ndarray, " N"], coefficient: float = COEFFICIENT
) -> tuple[Rates, Rates]:
    """Limits of d after n pairs, right at all n together with a chance of at least 1 - level.

    `listed` are the scores in simulation of all states of the list, `simulated` those of the states of the pairs, in their
    order. `coefficient` is fixed before the first pair; 0 leaves the simulator out. Raises ValueError for more pairs than
    the list has states, and for a coefficient outside [0, 1].
    """
    if not 1 <= scores.shape[1] <= len(listed):
        raise ValueError(f"pairs must be 1 to the {len(listed)} states of the list, got {scores.shape[1]}")
    if not 0 <= coefficient <= 1:
        raise ValueError(f"coefficient must be in [0, 1], got {coefficient}")

    def log_e(difference: Rates) -> Rates:
        return controlled_log_e_values(difference, scores, simulated, listed, coefficient)[:, -1]

    def inside(difference: Rates) -> Bool[np.ndarray, " R"]:
        return log_e(difference) < -np.log(level)

    # What the states that were not run can still add.
    left, known = 1 - scores.shape[1] / len(listed), scores.sum(axis=1) / len(listed)
    low, high = known - left, known + left
    least = _least(log_e, low, high)
    return _edge(inside, least, low), _edge(inside, least, high)


def controlled_log_e_values(
    difference: Rates, scores: Scores, simulated: Scores, listed: Int[np.ndarray, " N"], coefficient: float
) -> Float[np.ndarray, "R n"]:
    """Logarithm of the e-value of "the mean over the list is `difference`" after each pair."""
    runs = np.arange(scores.shape[1])
    d = (len(listed) * difference[:, None] - _sum_before(scores)) / (len(listed) - runs)
    d = np.clip(d, -1 + 1e-12, 1 - 1e-12)
    m = (listed.sum() - _sum_before(simulated)) / (len(listed) - runs)
    y = scores - coefficient * (simulated - m)
    lowest, highest = -1 - coefficient * (1 - m), 1 + coefficient * (1 + m)
    above, below = ((y - lowest) / (d - lowest))[..., None], ((highest - y) / (highest - d))[..., None]
    stakes = np.cumsum(np.log(ARCSINE * above + (1 - ARCSINE) * below), axis=1)
    largest = stakes.max(axis=-1)
    return largest + np.log(np.mean(np.exp(stakes - largest[..., None]), axis=-1))


def _sum_before(scores: Scores) -> Scores:
    return np.cumsum(scores, axis=1) - scores


def _least(log_e: Callable[[Rates], Rates], low: Rates, high: Rates) -> Rates:
    """Where the log-convex e-value is least, by thirds."""
    for _ in range(_SEARCHES):
        first, second = low + (high - low) / 3, high - (high - low) / 3
        left = log_e(first) <= log_e(second)
        low, high = np.where(left, low, first), np.where(left, second, high)
    return (low + high) / 2


def _edge(inside: Callable[[Rates], Bool[np.ndarray, " R"]], least: Rates, end: Rates) -> Rates:
    """The limit between `least` and `end`, by bisection."""
    for _ in range(_SEARCHES):
        middle = (least + end) / 2
        found = inside(middle)
        least, end = np.where(found, middle, least), np.where(found, end, middle)
    return end
