"""When and whither the residual intervenes (Fig. 5, 7a): its direction against the goal's, given the base's.

The goal is the first tracked object while the gripper approaches it, so only steps where that object is visible and
further than `GOAL_RADIUS` count. Legend: g from gripper to object [m]; b, r translations of base and residual [m].
"""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from ocrrl.rollouts.episode_outcome import EpisodeOutcome, EpisodeTrace

GOAL_RADIUS = 0.03  # [m]; nearer than this the gripper is at the object and g is no direction to go
SHORTEST_STEP = 1e-4  # [m]; a shorter translation has no direction worth the name
BASE_ALIGNMENT_EDGES = (-1.0, -0.5, 0.0, 0.5, 0.8, 1.0)


class AlignmentBin(TypedDict):
    """Steps whose base alignment cos(b, g) lies in [low, high): mean and standard error of cos(r, g), mean |r| [m]."""

    base_alignment_low: float
    base_alignment_high: float
    steps: int
    mean_cosine: float | None
    standard_error: float | None
    mean_residual: float | None


def alignment_by_base(outcomes: Sequence[EpisodeOutcome]) -> list[AlignmentBin]:
    """Fig. 7(a): cosine similarity of residual and goal direction over all steps, conditioned on base alignment.

    Raises ValueError for an outcome without a trace.
    """
    columns = [_approach(outcome) for outcome in outcomes]
    base, residual, length = (np.concatenate(column) for column in zip(*columns, strict=True))
    bins = np.clip(np.searchsorted(BASE_ALIGNMENT_EDGES, base, side="right") - 1, 0, len(BASE_ALIGNMENT_EDGES) - 2)
    return [
        _bin(residual[bins == k], length[bins == k], BASE_ALIGNMENT_EDGES[k], BASE_ALIGNMENT_EDGES[k + 1])
        for k in range(len(BASE_ALIGNMENT_EDGES) - 1)
    ]


def _approach(outcome: EpisodeOutcome) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """cos(b, g), cos(r, g) and |r| of the steps that count."""
    if outcome.trace is None:
        raise ValueError(f"the episode of seed {outcome.seed} must have a trace, got none")
    trace: EpisodeTrace = outcome.trace
    goal = (trace.object_positions[:, 0] - trace.gripper_positions).astype(float)
    base, residual = trace.base_actions[:, :3].astype(float), trace.residuals[:, :3].astype(float)
    distance, base_length, length = (np.linalg.norm(vector, axis=-1) for vector in (goal, base, residual))
    counted = trace.object_visible[:, 0] & (distance > GOAL_RADIUS)
    counted &= (base_length > SHORTEST_STEP) & (length > SHORTEST_STEP)
    goal, base, residual = goal[counted], base[counted], residual[counted]
    distance, base_length, length = distance[counted], base_length[counted], length[counted]
    return (goal * base).sum(-1) / (distance * base_length), (goal * residual).sum(-1) / (distance * length), length


def _bin(cosines: np.ndarray, lengths: np.ndarray, low: float, high: float) -> AlignmentBin:
    steps = len(cosines)
    return {
        "base_alignment_low": low,
        "base_alignment_high": high,
        "steps": steps,
        "mean_cosine": float(cosines.mean()) if steps else None,
        "standard_error": float(cosines.std(ddof=1) / np.sqrt(steps)) if steps > 1 else None,
        "mean_residual": float(lengths.mean()) if steps else None,
    }
