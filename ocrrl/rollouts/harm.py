"""Harm: initial states that the base solves and another policy does not, and how many of them chaotic contact alone would lose.

    harmed share = E[b (1 - v)] / E[b]           net harm = E[b (q - v)] / E[b]

b, v, q in [0, 1]: whether the base, the other policy, and a placebo solve a state; v is a mean where several residual seeds ran. A
placebo is the base with a disturbance far too small to correct or to spoil anything by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

_RESAMPLES = 10_000
_BOOTSTRAP_SEED = 0


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


def harmed_share(tasks: Sequence[SolvedStates]) -> Estimate | None:
    """Share of the base's states that the policy loses, averaged over tabletop tasks; None where a base solves nothing."""
    return _ratio(tasks, [task.base * (1.0 - task.policy) for task in tasks])


def net_harm(tasks: Sequence[SolvedStates]) -> Estimate | None:
    """The policy's harmed share less the placebo's, paired; None where a base solves nothing, or a placebo is missing."""
    losses = [task.base * (task.placebo - task.policy) for task in tasks if task.placebo is not None]
    return _ratio(tasks, losses) if len(losses) == len(tasks) else None


def gain(tasks: Sequence[SolvedStates]) -> Estimate:
    """The policy's success rate less the base's, paired, averaged over tabletop tasks."""
    ones = [SolvedStates(np.ones(len(task.base)), task.policy) for task in tasks]
    found = _ratio(ones, [task.policy - task.base for task in tasks])
    assert found is not None
    return found


def _ratio(tasks: Sequence[SolvedStates], losses: Sequence[np.ndarray]) -> Estimate | None:
    """Mean over tasks of sum(losses) / sum(base), with a bootstrap interval over the states of each task, the tasks fixed.

    Percentile interval, 10,000 resamples from a fixed seed; resamples in which a base solves nothing are left out.
    """
    if not tasks or any(task.solved == 0 for task in tasks):
        return None
    random, resampled = np.random.default_rng(_BOOTSTRAP_SEED), np.zeros(_RESAMPLES)
    for task, lost in zip(tasks, losses, strict=True):
        drawn = random.integers(len(lost), size=(_RESAMPLES, len(lost)))
        solved = task.base[drawn].sum(axis=1)
        resampled += np.divide(
            lost[drawn].sum(axis=1), solved, out=np.full(_RESAMPLES, np.nan), where=solved > 0
        ) / len(tasks)
    value = np.mean([lost.sum() / task.solved for task, lost in zip(tasks, losses, strict=True)])
    low, high = np.nanquantile(resampled, [0.025, 0.975])
    return Estimate(float(value), float(low), float(high))
