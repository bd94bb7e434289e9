"""What makes a learner see more than its own policy would: noise on the residual, and other states to start from."""

import numpy as np
from jaxtyping import Float, Int

from ocrrl.datasets.transitions import ReplayEpisode
from ocrrl.interface.actions import ACTION_DIM
from ocrrl.interface.protocols import PlaceableEnvironment
from ocrrl.residual.residual_config import ACTION_UNITS, ResidualConfig, per_dimension

LEAST_LEFT = 10  # steps of a demonstration after the one that an episode starts from


def annealed(end: float, progress: float) -> float:
    """From 1 at `progress` 0 to `end` at 1."""
    return 1.0 - (1.0 - end) * progress


def exploration_noise(
    config: ResidualConfig, count: int, progress: float, generator: np.random.Generator
) -> Float[np.ndarray, "count 7"]:
    """clip(N(0, sigma), -c, c) in units of the action's range, as residuals [m, rad, opening] (Algorithm 1, line 12).

    sigma falls with `progress`, the share of the transitions that is over, to `exploration_end` of itself.
    """
    std = per_dimension(config.exploration_std) * annealed(config.exploration_end, progress)
    noise = generator.standard_normal((count, ACTION_DIM)) * std
    return (np.clip(noise, -config.exploration_clip, config.exploration_clip) * ACTION_UNITS).astype(np.float32)


def start_from_demonstrations(
    environment: PlaceableEnvironment,
    ids: Int[np.ndarray, " n"],
    episodes: list[ReplayEpisode],
    share: float,
    generator: np.random.Generator,
) -> Int[np.ndarray, " n"]:
    """Put a `share` of the environments `ids`, just reset, where a demonstration was at a step drawn at random.

    Returns the step (n,) at which each episode starts, 0 where it starts as it was reset: late stages of a tabletop task
    are met from the beginning, not only once the early ones are learned (Nair et al. 2018, "resets to demonstration
    states").
    """
    steps = np.zeros(len(ids), np.int64)
    if not episodes:
        return steps
    moved = np.flatnonzero(generator.random(len(ids)) < share)
    chosen = [episodes[k] for k in generator.integers(len(episodes), size=len(moved))]
    steps[moved] = [generator.integers(max(len(episode.action) - LEAST_LEFT, 1)) for episode in chosen]
    if len(moved):
        rows = [episode.observation.take(np.array([t])) for episode, t in zip(chosen, steps[moved], strict=True)]
        environment.reset_to(
            ids[moved],
            np.concatenate([row.joint_positions for row in rows]),
            np.concatenate([row.gripper_width for row in rows]),
            np.concatenate([row.object_poses for row in rows]),
        )
    return steps
