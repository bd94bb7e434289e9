"""When and in which direction the residual acts (Fig. 5, 7a), relative to the goal and the base.

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
    """Steps whose base alignment cos(b, g) lies in [low, high): mean of cos(r, g) and mean |r| [m].

    The standard error is over episodes' means: steps of one episode are not independent.
    """

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
    episodes = [_approach(outcome) for outcome in outcomes]
    edges = BASE_ALIGNMENT_EDGES
    bins = [np.clip(np.searchsorted(edges, base, side="right") - 1, 0, len(edges) - 2) for base, _, _ in episodes]
    return [
        _bin(
            [residual[chosen == k] for (_, residual, _), chosen in zip(episodes, bins, strict=True)],
            np.concatenate([length[chosen == k] for (_, _, length), chosen in zip(episodes, bins, strict=True)]),
            edges[k],
            edges[k + 1],
        )
        for k in range(len(edges) - 1)
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


def _bin(cosines_by_episode: list[np.ndarray], lengths: np.ndarray, low: float, high: float) -> AlignmentBin:
    cosines = np.concatenate(cosines_by_episode)
    means = np.array([episode.mean() for episode in cosines_by_episode if len(episode)])
    return {
        "base_alignment_low": low,
        "base_alignment_high": high,
        "steps": len(cosines),
        "mean_cosine": float(cosines.mean()) if len(cosines) else None,
        "standard_error": float(means.std(ddof=1) / np.sqrt(len(means))) if len(means) > 1 else None,
        "mean_residual": float(lengths.mean()) if len(cosines) else None,
    }
