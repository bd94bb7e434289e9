"""The learning curve: one point per validation, choice of the checkpoint, early stopping.

A `Validation` runs the policies on seeds of their own, at once or while training goes on; a curve without validation has
null in place of its success rates.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from ocrrl.interface.residual_observations import AnyResidual


class Validation(Protocol):
    """Judges one policy after the other."""

    def start(self, policy: AnyResidual, /) -> None:
        """Begin with `policy`; the one before has been asked for by `result`."""
        ...

    def ready(self) -> bool:
        """Whether `result` is known."""
        ...

    def result(self) -> float:
        """The success rate in [0, 1] on validation seeds; waits for it."""
        ...


class BlockingValidation:
    """A `Validation` that training waits for."""

    def __init__(self, success_rate: Callable[[AnyResidual], float]) -> None:
        self._success_rate, self._result = success_rate, 0.0

    def start(self, policy: AnyResidual) -> None:
        self._result = float(self._success_rate(policy))

    def ready(self) -> bool:
        return True

    def result(self) -> float:
        return self._result


Point = dict[str, Any]
Weights = dict[str, np.ndarray]


class LearningCurve:
    """The points of a run, of which the next may still wait for its validation, and the best policy so far."""

    def __init__(self, validation: Validation | None, policy: Callable[[Weights], AnyResidual]) -> None:
        """`policy` is the one that weights stand for."""
        self.points: list[Point] = []
        self.best: Weights = {}
        """Of equals, the latest."""
        self._validation, self._policy = validation, policy
        self._waiting: Point | None = None
        self._waiting_weights: Weights = {}

    def due(self, transitions: int, every: int, total: int) -> bool:
        """Whether it is time for the next point: `every` so many transitions, and at the end."""
        points = self.points if self._waiting is None else [*self.points, self._waiting]
        if points and transitions == points[-1]["transitions"]:
            return False
        return transitions >= min(len(points) * every, total)

    def add(self, point: Point, weights: Weights) -> None:
        """A new point, whose `validation_success` is null yet; waits for the one before."""
        self.settle(wait=True)
        self._waiting, self._waiting_weights = point, weights

    def judge(self) -> None:
        """Have the policy of the point that waits validated, if there is one."""
        if self._waiting is not None and self._validation is not None:
            self._validation.start(self._policy(self._waiting_weights))

    def settle(self, wait: bool) -> None:
        """Take in the point that waits, if its success rate is known; `wait` until it is."""
        point, validation = self._waiting, self._validation
        if point is None or (validation is not None and not wait and not validation.ready()):
            return
        self.points.append(point if validation is None else {**point, "validation_success": validation.result()})
        if published(self.points) == len(self.points) - 1:
            self.best = self._waiting_weights
        self._waiting = None

    def get_state(self) -> tuple[dict[str, Weights], dict[str, Any]]:
        """Arrays and facts for a checkpoint."""
        return (
            {"best": self.best, "waiting": self._waiting_weights},
            {"curve": self.points, "waiting": self._waiting},
        )

    def set_state(self, parts: dict[str, Weights], facts: dict[str, Any]) -> None:
        """Go on from `get_state`; a point that waited has to be judged again."""
        self.points, self._waiting = facts["curve"], facts["waiting"]
        self.best, self._waiting_weights = parts.get("best", {}), parts["waiting"]


def training_summary(finished: Sequence[tuple[float, bool]]) -> Point:
    """Of the episodes (return, success) that ended since the point before; null where there is none."""
    returns, successes = zip(*finished, strict=True) if finished else ((), ())
    return {
        "episodes": len(finished),
        "mean_episode_return": float(np.mean(returns)) if finished else None,
        "training_success": float(np.mean(successes)) if finished else None,
    }


def published(curve: Sequence[Point]) -> int:
    """Index of the point whose policy is published: the best on validation, of equals the latest; without any, the last."""
    successes = [point["validation_success"] for point in curve]
    if None in successes:
        return len(successes) - 1
    return max(i for i, success in enumerate(successes) if success == max(successes))


def solved(curve: Sequence[Point], stop_at_success: float) -> bool:
    """Two validations in a row at or above `stop_at_success`; the first point, before any training, does not count."""
    last = [point["validation_success"] for point in curve[1:]][-2:]
    return len(last) == 2 and all(success is not None and success >= stop_at_success for success in last)
