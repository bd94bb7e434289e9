"""Statistics of success counts and episode lengths, with 95% intervals.

Legend: n episodes, the pairs share an initial state; p1 first variant, p2 second variant; z the normal's 0.975 quantile.
"""

from collections.abc import Sequence
from math import comb, sqrt
from statistics import NormalDist
from typing import TypedDict

import numpy as np

from ocrrl.rollouts.episode_outcome import EpisodeOutcome

_Z = NormalDist().inv_cdf(0.975)
_RESAMPLES = 10_000
_BOOTSTRAP_SEED = 0


class SuccessSummary(TypedDict):
    """R of the metrics files; mean_steps_success [control steps] is null without a success."""

    successes: int
    episodes: int
    success_rate: float
    wilson_low: float
    wilson_high: float
    mean_steps_success: float | None


class PairedCounts(TypedDict):
    """P of the metrics files: in how many initial states both variants, one of them, or neither succeeded."""

    both: int
    only_base: int
    only_residual: int
    neither: int


class RateDifference(TypedDict):
    """Success rate of the second variant minus the first's, on the same initial states."""

    difference: float
    low: float
    high: float
    mcnemar_p: float


class StepsDifference(TypedDict):
    """Episode length of the second variant minus the first's [control steps], over the `pairs` that both solved."""

    pairs: int
    mean_first: float | None
    mean_second: float | None
    difference: float | None
    low: float | None
    high: float | None
    relative: float | None
    """Difference over the first variant's mean."""


class AverageDifference(TypedDict):
    """Success rates averaged over so many tabletop tasks, each counted alike; `difference` is second minus first."""

    tasks: int
    first: float
    second: float
    difference: float
    low: float
    high: float


def wilson_interval(successes: int, episodes: int) -> tuple[float, float]:
    """95% interval of a success rate: Wilson's score interval (Wilson 1927, JASA 22:209-212).

    Raises ValueError unless 0 <= successes <= episodes and episodes >= 1.
    """
    if episodes < 1:
        raise ValueError(f"episodes must be at least 1, got {episodes}")
    if not 0 <= successes <= episodes:
        raise ValueError(f"successes must be in [0, {episodes}], got {successes}")
    rate = successes / episodes
    scale = 1.0 + _Z**2 / episodes
    centre = (rate + _Z**2 / (2 * episodes)) / scale
    half = _Z * sqrt(rate * (1 - rate) / episodes + _Z**2 / (4 * episodes**2)) / scale
    # At the ends the formula is exactly 0 and 1, but for rounding.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == episodes else centre + half
    return low, high


def success_summary(outcomes: Sequence[EpisodeOutcome]) -> SuccessSummary:
    """R of the metrics files for one variant; raises ValueError without an episode."""
    lengths = [outcome.steps for outcome in outcomes if outcome.success]
    low, high = wilson_interval(len(lengths), len(outcomes))
    return {
        "successes": len(lengths),
        "episodes": len(outcomes),
        "success_rate": len(lengths) / len(outcomes),
        "wilson_low": low,
        "wilson_high": high,
        "mean_steps_success": float(np.mean(lengths)) if lengths else None,
    }


def paired_counts(base: Sequence[EpisodeOutcome], residual: Sequence[EpisodeOutcome]) -> PairedCounts:
    """P of the metrics files; raises ValueError unless both variants ran from the same seeds in the same order."""
    require_same_seeds(base, residual)
    pairs = [(b.success, r.success) for b, r in zip(base, residual, strict=True)]
    return {
        "both": pairs.count((True, True)),
        "only_base": pairs.count((True, False)),
        "only_residual": pairs.count((False, True)),
        "neither": pairs.count((False, False)),
    }


def rate_difference(first: Sequence[EpisodeOutcome], second: Sequence[EpisodeOutcome]) -> RateDifference:
    """Paired difference of success rates, second minus first, with Newcombe's interval and McNemar's exact p."""
    counts = paired_counts(first, second)
    low, high = newcombe_interval(counts["both"], counts["only_residual"], counts["only_base"], counts["neither"])
    return {
        "difference": (counts["only_residual"] - counts["only_base"]) / len(first),
        "low": low,
        "high": high,
        "mcnemar_p": mcnemar_p(counts["only_base"], counts["only_residual"]),
    }


def newcombe_interval(both: int, only_first: int, only_second: int, neither: int) -> tuple[float, float]:
    """95% interval of p1 - p2 for paired proportions: method 10 of Newcombe 1998, Statistics in Medicine 17:2635-2650.

    Wilson's limits of both rates, squared and added, less their correlation phi (with its continuity correction).
    """
    n = both + only_first + only_second + neither
    first, second = both + only_first, both + only_second
    p1, p2 = first / n, second / n
    low1, high1 = wilson_interval(first, n)
    low2, high2 = wilson_interval(second, n)

    margins = first * (n - first) * second * (n - second)
    covariance = both * neither - only_first * only_second
    if covariance > 0:
        covariance = max(covariance - n / 2, 0.0)
    phi = covariance / sqrt(margins) if margins else 0.0

    below1, above1, below2, above2 = p1 - low1, high1 - p1, p2 - low2, high2 - p2
    below = sqrt(max(below1**2 - 2 * phi * below1 * above2 + above2**2, 0.0))
    above = sqrt(max(above1**2 - 2 * phi * above1 * below2 + below2**2, 0.0))
    return p1 - p2 - below, p1 - p2 + above


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Two-sided exact McNemar p: a binomial test of the discordant pairs against one half (McNemar 1947)."""
    discordant = only_first + only_second
    tail = sum(comb(discordant, k) for k in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / 2**discordant)


def steps_difference(first: Sequence[EpisodeOutcome], second: Sequence[EpisodeOutcome]) -> StepsDifference:
    """Paired difference of episode lengths where both variants succeeded, second minus first, with a bootstrap interval.

    Percentile bootstrap over the pairs, 10,000 resamples from a fixed seed. No interval with fewer than two pairs.
    """
    require_same_seeds(first, second)
    lengths = np.array(
        [(a.steps, b.steps) for a, b in zip(first, second, strict=True) if a.success and b.success], float
    ).reshape(-1, 2)
    mean_first = mean_second = difference = low = high = None
    if len(lengths):
        mean_first, mean_second = (float(mean) for mean in lengths.mean(axis=0))
        difference = mean_second - mean_first
    if len(lengths) > 1:
        drawn = np.random.default_rng(_BOOTSTRAP_SEED).integers(len(lengths), size=(_RESAMPLES, len(lengths)))
        means = (lengths[:, 1] - lengths[:, 0])[drawn].mean(axis=1)
        low, high = (float(limit) for limit in np.quantile(means, [0.025, 0.975]))
    return {
        "pairs": len(lengths),
        "mean_first": mean_first,
        "mean_second": mean_second,
        "difference": difference,
        "low": low,
        "high": high,
        "relative": difference / mean_first if mean_first and difference is not None else None,
    }


def average_difference(tasks: Sequence[Sequence[tuple[int, bool, bool]]]) -> AverageDifference:
    """Paired difference of success rates averaged over tabletop tasks, with a stratified bootstrap interval.

    Each tabletop task is its pairs: the initial state's seed, whether the first variant succeeded, whether the second did.
    Initial states are drawn with replacement within each task, each with the mean over the pairs that share it (those of
    several residual seeds); tasks and residual seeds are fixed. Percentile interval, 10,000 resamples from a fixed seed.
    Raises ValueError without a task, or for a task without a pair.
    """
    if not tasks or not all(tasks):
        raise ValueError(f"every tabletop task must have pairs, got {[len(pairs) for pairs in tasks]} pairs")
    random = np.random.default_rng(_BOOTSTRAP_SEED)
    rates, resampled = [], np.zeros(_RESAMPLES)
    for pairs in tasks:
        by_state: dict[int, list[tuple[bool, bool]]] = {}
        for seed, first, second in pairs:
            by_state.setdefault(seed, []).append((first, second))
        states = np.array([np.mean(shared, axis=0) for shared in by_state.values()], float)  # (n, 2)
        drawn = random.integers(len(states), size=(_RESAMPLES, len(states)))
        resampled += (states[:, 1] - states[:, 0])[drawn].mean(axis=1) / len(tasks)
        rates.append(states.mean(axis=0))
    mean_first, mean_second = np.mean(rates, axis=0)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return {
        "tasks": len(tasks),
        "first": float(mean_first),
        "second": float(mean_second),
        "difference": float(mean_second - mean_first),
        "low": float(low),
        "high": float(high),
    }


def require_same_seeds(first: Sequence[EpisodeOutcome], second: Sequence[EpisodeOutcome]) -> None:
    """Raises ValueError unless both variants ran the same initial states in the same order."""
    if [outcome.seed for outcome in first] != [outcome.seed for outcome in second]:
        raise ValueError(
            f"paired policies must have run the same seeds in the same order, got {len(first)} and {len(second)} episodes"
        )
