"""Harm: initial states that the base solves and another policy does not, and how many of them chaotic contact alone would lose.

    harmed share = E[b (1 - v)] / E[b]           net harm = E[b (q - v)] / E[b]

b, v, q in [0, 1]: whether the base, the other policy, and a placebo solve a state; v is a mean where several residual seeds ran. A
placebo is the base with a disturbance far too small to correct or to spoil anything by itself.

Intervals: counts with Jeffreys' prior, half a state in each cell. Where few states or none are lost, a bootstrap's are far too narrow:
of none lost it says 0 to 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

_DRAWS = 10_000
_SEED = 0
_PRIOR = 0.5


@dataclass(frozen=True)
class SolvedStates:
    """What became of the initial states of one tabletop task, in the same order for every policy."""

    base: Float[np.ndarray, " n"]
    policy: Float[np.ndarray, " n"]
    placebo: Float[np.ndarray, " n"] | None = None

    def __post_init__(self) -> None:
        others = [values for values in (self.policy, self.placebo) if values is not None]
        if len(self.base) == 0 or any(len(values) != len(self.base) for values in others):
            counts = [len(values) for values in (self.base, *others)]
            raise ValueError(f"policies must have run the same initial states, at least one, got {counts} states")

    @property
    def solved(self) -> float:
        """How many the base solves."""
        return float(self.base.sum())


@dataclass(frozen=True)
class Estimate:
    """A share, or a difference of shares, with a 95% interval."""

    value: float
    low: float
    high: float

    def as_difference(self) -> dict[str, float]:
        """As `report.values.points` takes it."""
        return {"difference": self.value, "low": self.low, "high": self.high}


def share(count: float, of: float) -> Estimate | None:
    """`count` of `of` as a share; None of nothing."""
    return _mean_contrast([(count, of - count)], (1, 0))


def harmed_share(tasks: Sequence[SolvedStates]) -> Estimate | None:
    """Share of the base's states that the policy loses, averaged over tabletop tasks; None where a base solves nothing."""
    lost = [(task.base * (1.0 - task.policy)).sum() for task in tasks]
    return _mean_contrast([(k, task.solved - k) for k, task in zip(lost, tasks, strict=True)], (1, 0))


def net_harm(tasks: Sequence[SolvedStates]) -> Estimate | None:
    """The policy's harmed share less the placebo's, paired; None where a base solves nothing, or a placebo is missing."""
    counts = [_paired(task.base, task.placebo, task.policy) for task in tasks if task.placebo is not None]
    return _mean_contrast(counts, (1, -1, 0)) if len(counts) == len(tasks) else None


def gain(tasks: Sequence[SolvedStates]) -> Estimate:
    """The policy's success rate less the base's, paired, averaged over tabletop tasks."""
    found = _mean_contrast([_paired(np.ones(len(t.base)), t.policy, t.base) for t in tasks], (1, -1, 0))
    assert found is not None
    return found


def _paired(of: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[float, float, float]:
    """How many of the states `of` only the first solves, only the second, and the others."""
    only_first, only_second = float((of * first * (1.0 - second)).sum()), float((of * (1.0 - first) * second).sum())
    return only_first, only_second, float(of.sum()) - only_first - only_second


def _mean_contrast(counts: Sequence[tuple[float, ...]], contrast: tuple[int, ...]) -> Estimate | None:
    """Mean over tasks of `contrast` of their shares, with the quantiles of 10,000 draws of a fixed seed; the tasks are fixed."""
    if not counts or any(sum(of_task) == 0 for of_task in counts):
        return None
    random = np.random.default_rng(_SEED)
    draws = np.mean([random.dirichlet(np.array(c) + _PRIOR, _DRAWS) @ contrast for c in counts], axis=0)
    low, high = np.quantile(draws, [0.025, 0.975])
    value = np.mean([np.array(of_task) @ contrast / sum(of_task) for of_task in counts])
    return Estimate(float(value), float(low), float(high))
