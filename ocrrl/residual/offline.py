"""Offline buffer: replayed demonstrations as residual decisions, with the frozen base's action and pose augmentation.

A demonstrator acts anew at every step; what they did over the steps of one decision stands for it by its mean difference
from the base action. Decisions are taken to begin at each step, so every demonstrated step is learned from.
Legend: E episodes of T steps and S = T + 1 states each, n of them at work, D length of the residual observation.
"""

import numpy as np
from jaxtyping import Float

from ocrrl.datasets.transitions import ReplayEpisode
from ocrrl.interface.actions import ACTION_DIM
from ocrrl.interface.observations import Images, Observation
from ocrrl.interface.protocols import Policy, chunk_features
from ocrrl.interface.seeds import RANGES
from ocrrl.residual.n_step_returns import NStepReturns, potential, shaped
from ocrrl.residual.observation_spaces.space import ObservationSpace
from ocrrl.residual.residual_config import ResidualConfig
from ocrrl.residual.transitions import TransitionRow


def offline_transitions(
    replay_episodes: list[ReplayEpisode],
    base: Policy,
    config: ResidualConfig,
    generator: np.random.Generator,
    space: ObservationSpace,
) -> Float[np.ndarray, "m width"]:
    """Rows of `TransitionRow` in which the demonstrated action is the combined action, one for each demonstrated step.

    Up to `config.num_envs` episodes at a time stand for that many environments. An episode ends at its first success, as
    in training; one that never succeeds counts as truncated. ValueError names an episode without steps.
    """
    for episode in replay_episodes:
        if not len(episode.action):
            raise ValueError(f"replay episode {episode.source} must have at least one step, got 0")
    rows = [np.zeros((0, TransitionRow(space.dim).width), np.float32)]
    for first in range(0, len(replay_episodes), config.num_envs):
        group = replay_episodes[first : first + config.num_envs]
        base.reset(np.arange(len(group)), range(first, first + len(group)))
        states, base_actions = _seen(group, base, config, space, generator)
        for i, episode in enumerate(group):
            rows += _decisions(episode, states[i], base_actions[i], config)
    return np.concatenate(rows)


def _seen(
    episodes: list[ReplayEpisode],
    base: Policy,
    config: ResidualConfig,
    space: ObservationSpace,
    generator: np.random.Generator,
) -> tuple[Float[np.ndarray, "n S D"], Float[np.ndarray, "n S 7"]]:
    """Residual observations and base actions before each step and after the last, zero after an episode's end."""
    lengths = np.array([_steps_to_success(episode) for episode in episodes])
    states = np.zeros((len(episodes), lengths.max() + 1, space.dim), np.float32)
    base_actions = np.zeros((*states.shape[:2], ACTION_DIM), np.float32)
    if space.reenacted_in is not None:
        all_ids, range_ = np.arange(len(episodes)), RANGES["train"]
        first = _rows_at(episodes, all_ids, 0)
        drawn = generator.integers(range_.start, range_.stop, len(episodes))
        space.reenacted_in.reset(all_ids, drawn.tolist())  # a realistic look is drawn with the initial state
        space.reenacted_in.reset_to(all_ids, first.joint_positions, first.gripper_width, first.object_poses)
    for t in range(states.shape[1]):
        ids = np.flatnonzero(lengths >= t)
        observation = _rows_at(episodes, ids, t)
        base_actions[ids, t] = base.act(observation, ids, lambda wanted, t=t: _images_at(episodes, wanted, t))
        chunks = chunk_features(base, ids, config.chunk_phase, config.coming_actions)
        deciding = np.ones(len(ids), bool)
        states[ids, t] = space.observe(ids, deciding, observation, base_actions[ids, t], chunks, generator)
        acting = np.flatnonzero(lengths > t)
        if space.reenacted_in is not None and len(acting):
            space.reenacted_in.step(np.stack([episodes[i].action[t] for i in acting]), acting)
    return states, base_actions


def _decisions(
    episode: ReplayEpisode,
    states: Float[np.ndarray, "S D"],
    base_actions: Float[np.ndarray, "S 7"],
    config: ResidualConfig,
) -> list[Float[np.ndarray, "m width"]]:
    """One episode's rows: decisions from its first step on, then from its second, and so on."""
    every, length = config.action_repeat, _steps_to_success(episode)
    levels = potential(episode.reward, episode.success)
    before = np.concatenate([[np.nan], levels[:-1]])
    reward = shaped(episode.reward, before, levels, config.shaping_weight, config.gamma)
    difference = episode.action[:length] - base_actions[:length]
    rows = []
    for offset in range(min(every, length)):
        returns = NStepReturns(1, states.shape[1], config.n_step, config.gamma**every, config.success_value)
        for t in range(offset, length, every):
            end = min(t + every, length)
            success = bool(episode.success[end - 1])
            rows.append(
                returns.add(
                    np.array([0]),
                    states[[t]],
                    (base_actions[t] + difference[t:end].mean(axis=0))[None],
                    base_actions[[t]],
                    (config.gamma ** np.arange(end - t) @ reward[t:end])[None],
                    states[[end]],
                    base_actions[[end]],
                    terminated=np.array([success]),
                    truncated=np.array([end == length and not success]),
                )
            )
    return rows


def _steps_to_success(episode: ReplayEpisode) -> int:
    succeeded = np.flatnonzero(episode.success)
    return int(succeeded[0]) + 1 if len(succeeded) else len(episode.action)


def _rows_at(episodes: list[ReplayEpisode], ids: np.ndarray, t: int) -> Observation:
    names = episodes[0].observation.arrays()
    return Observation(**{name: np.stack([getattr(episodes[i].observation, name)[t] for i in ids]) for name in names})


def _images_at(episodes: list[ReplayEpisode], ids: np.ndarray, t: int) -> Images:
    """Images before action `t`; after the last action there is none, and the last one serves."""
    cameras = episodes[0].images
    return {c: np.stack([episodes[i].images[c][min(t, len(episodes[i].images[c]) - 1)] for i in ids]) for c in cameras}
