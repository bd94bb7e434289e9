"""The points of a learning curve, one a validation: what they hold, which one is published, when there are enough.

Validated on seeds of their own; a curve without validation has null in place of its success rates.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

Point = dict[str, Any]


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
