"""Demonstrations as transitions: replayed episodes with the frozen base policy's action and the same pose augmentation.

Legend: E episodes of T steps each, n of them at work, D length of the residual observation.
"""

import numpy as np
from jaxtyping import Float

from ocrrl.datasets.transitions import ReplayEpisode
from ocrrl.interface.observations import Images, Observation, residual_observation
from ocrrl.interface.protocols import Policy
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.residual.n_step_returns import NStepReturns
from ocrrl.residual.pose_augmentation import PoseAugmentation


def offline_transitions(
    replay_episodes: list[ReplayEpisode],
    base: Policy,
    augmentation: PoseAugmentation,
    generator: np.random.Generator,
    task: TabletopTask,
    observation_dim: int,
    gamma: float,
    n_step: int,
    absorbing_success: bool = True,
    num_envs: int = 16,
) -> Float[np.ndarray, "m width"]:
    """Rows of `TransitionRow` in which the demonstrated action is the combined action.

    Up to `num_envs` episodes at a time stand for that many environments. An episode ends at its first success, as in
    training; one that never succeeds counts as truncated. ValueError names an episode without steps.
    """
    for episode in replay_episodes:
        if not len(episode.action):
            raise ValueError(f"replay episode {episode.source} must have at least one step, got 0")
    rows = []
    for first in range(0, len(replay_episodes), num_envs):
        group = replay_episodes[first : first + num_envs]
        rows += _group_transitions(
            group, base, augmentation, generator, task, observation_dim, gamma, n_step, absorbing_success
        )
    return (
        np.concatenate(rows)
        if rows
        else np.zeros((0, NStepReturns(1, observation_dim, 1, gamma, False).layout.width), np.float32)
    )


def _group_transitions(
    episodes: list[ReplayEpisode],
    base: Policy,
    augmentation: PoseAugmentation,
    generator: np.random.Generator,
    task: TabletopTask,
    observation_dim: int,
    gamma: float,
    n_step: int,
    absorbing_success: bool,
) -> list[np.ndarray]:
    lengths = np.array([_steps_to_success(episode) for episode in episodes])
    returns = NStepReturns(len(episodes), observation_dim, n_step, gamma, absorbing_success)
    base.reset(np.arange(len(episodes)))
    states = np.zeros((len(episodes), observation_dim), np.float32)
    base_actions = np.zeros((len(episodes), 7), np.float32)
    rows = []
    for t in range(int(lengths.max()) + 1):
        ids = np.flatnonzero(lengths >= t)
        observation = _rows_at(episodes, ids, t)
        base_action = base.act(observation, ids, lambda wanted, t=t: _images_at(episodes, wanted, t))
        observation.object_poses, visible = augmentation.augment(observation.object_poses, generator, task)
        state = residual_observation(observation, base_action, visible)
        if t > 0:
            taken = [episodes[i] for i in ids]
            success = np.array([episode.success[t - 1] for episode in taken])
            rows.append(
                returns.add(
                    ids,
                    states[ids],
                    np.stack([episode.action[t - 1] for episode in taken]),
                    base_actions[ids],
                    np.array([episode.reward[t - 1] for episode in taken]),
                    state,
                    base_action,
                    terminated=success,
                    truncated=(lengths[ids] == t) & ~success,
                )
            )
        states[ids], base_actions[ids] = state, base_action
    return rows


def _steps_to_success(episode: ReplayEpisode) -> int:
    succeeded = np.flatnonzero(episode.success)
    return int(succeeded[0]) + 1 if len(succeeded) else len(episode.action)


def _rows_at(episodes: list[ReplayEpisode], ids: np.ndarray, t: int) -> Observation:
    names = vars(episodes[0].observation)
    return Observation(**{name: np.stack([getattr(episodes[i].observation, name)[t] for i in ids]) for name in names})


def _images_at(episodes: list[ReplayEpisode], ids: np.ndarray, t: int) -> Images:
    """Pictures before action `t`; after the last action there is none, and the last one serves."""
    cameras = episodes[0].images
    return {c: np.stack([episodes[i].images[c][min(t, len(episodes[i].images[c]) - 1)] for i in ids]) for c in cameras}
