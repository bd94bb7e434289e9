"""Demonstrations as transitions."""

import numpy as np
import pytest

from ocrrl.interface.observations import action_features, residual_observation, residual_observation_dim
from ocrrl.residual.observation_spaces.objects import ObjectSpace
from ocrrl.residual.offline import offline_transitions
from ocrrl.residual.residual_config import ResidualConfig
from ocrrl.residual.transitions import TransitionRow
from tests.residual.toy_environment import TOY_TASK, ToyBase, demonstrations

DIM = residual_observation_dim(TOY_TASK)
LAYOUT = TransitionRow(DIM)


CLEAN = {"max_position_noise": 0.0, "max_rotation_noise": 0.0, "dropout": 0.0}


def rows_of(episodes, n_step=1, num_envs=16, seed=0, action_repeat=1, shaping=0.0, coming_actions=0, **augmentation):
    config = ResidualConfig(
        gamma=0.9, n_step=n_step, num_envs=num_envs, action_repeat=action_repeat, shaping=shaping,
        coming_actions=coming_actions,
        **(CLEAN | augmentation),
    )  # fmt: skip
    return offline_transitions(
        episodes, ToyBase(num_envs), config, np.random.default_rng(seed), ObjectSpace(config, TOY_TASK)
    )


def test_each_step_of_each_episode_becomes_one_row_with_the_demonstrated_action_as_the_combined_one():
    episodes = demonstrations(3)
    rows = rows_of(episodes)
    assert len(rows) == sum(len(e.action) for e in episodes)
    wanted = np.concatenate([action_features(e.action) for e in episodes])
    got = LAYOUT.action(rows)
    np.testing.assert_allclose(got[np.lexsort(got.T)], wanted[np.lexsort(wanted.T)], atol=1e-6)


def test_observations_hold_the_base_policy_s_chunked_action():
    (episode,) = demonstrations(1)
    rows, base, one = rows_of([episode]), ToyBase(1), np.array([0])
    for t, row in enumerate(rows):
        seen = episode.observation.take(np.array([t]))
        base_action = base.act(seen, one, lambda ids, t=t: {"front": episode.images["front"][[t]]})
        np.testing.assert_allclose(LAYOUT.base_action(row), base_action[0], atol=1e-6)
        state = residual_observation(seen, base_action, np.ones((1, 1), bool))
        np.testing.assert_allclose(LAYOUT.observation(row), state[0], atol=1e-5)
    np.testing.assert_array_equal(LAYOUT.next_observation(rows[:-1]), LAYOUT.observation(rows[1:]))


def test_observations_end_with_what_the_base_s_chunk_holds_next():
    (episode,) = demonstrations(1)
    layout = TransitionRow(residual_observation_dim(TOY_TASK, coming_actions=3))
    rows, base, one = rows_of([episode], coming_actions=3), ToyBase(1), np.array([0])
    np.testing.assert_array_equal(layout.observation(rows)[:, :DIM], LAYOUT.observation(rows_of([episode])))
    base.act(episode.observation.take(np.array([0])), one, lambda ids: {"front": episode.images["front"][[0]]})
    np.testing.assert_allclose(layout.observation(rows)[0, DIM:], action_features(base.coming_actions(one, 3)).ravel())


def test_a_success_ends_with_the_value_of_reward_for_ever_a_failure_bootstraps():
    (solved,), (failed,) = demonstrations(1), demonstrations(1)
    failed.success[:] = False
    assert solved.success[-1]
    last = rows_of([solved])[-1]
    assert LAYOUT.discount(last) == 0.0 and LAYOUT.reward(last) == pytest.approx(1.0 + 0.9 * 10.0)
    last = rows_of([failed])[-1]
    assert LAYOUT.discount(last) == pytest.approx(0.9) and LAYOUT.reward(last) == pytest.approx(failed.reward[-1])


def test_a_decision_stands_for_its_steps_by_their_mean_difference_from_the_base_action():
    (episode,) = demonstrations(1)
    single, kept = rows_of([episode]), rows_of([episode], action_repeat=2)
    length = len(episode.action)
    assert len(kept) == length, "one begins at each step"
    base_actions = LAYOUT.base_action(single)
    difference = episode.action - base_actions
    for row, t in zip(kept, [*range(0, length, 2), *range(1, length, 2)], strict=True):
        action = base_actions[t] + difference[t : t + 2].mean(axis=0)
        np.testing.assert_allclose(LAYOUT.action(row), action_features(action), atol=1e-5)
        np.testing.assert_array_equal(LAYOUT.observation(row), LAYOUT.observation(single[t]))
        if t + 2 < length:
            assert LAYOUT.reward(row) == pytest.approx(episode.reward[t] + 0.9 * episode.reward[t + 1])
            assert LAYOUT.discount(row) == pytest.approx(0.9**2)


def test_shaped_rewards_telescope_over_a_demonstration():
    (episode,) = demonstrations(1)
    rows = rows_of([episode], shaping=1.0)
    np.testing.assert_allclose(
        LAYOUT.reward(rows)[:, 0], np.diff([episode.reward[0], *episode.reward]) * 10.0, atol=1e-4
    )
    assert LAYOUT.discount(rows[-1]) == 0.0 and episode.reward[-1] == 1.0


def test_more_episodes_than_environments_are_taken_in_groups():
    episodes = demonstrations(5)
    together, grouped = rows_of(episodes, 3), rows_of(episodes, 3, num_envs=2)
    np.testing.assert_array_equal(together[np.lexsort(together.T)], grouped[np.lexsort(grouped.T)])


def test_poses_are_augmented_as_in_training():
    episodes = demonstrations(4)
    dropped = LAYOUT.observation(rows_of(episodes, dropout=1.0))
    assert not dropped[:, :13].any()
    noisy, clean = (LAYOUT.observation(rows_of(episodes, max_position_noise=n)) for n in (0.005, 0.0))
    assert 0.0 < np.abs(noisy - clean)[:, :3].max() <= 0.0501


def test_no_demonstrations_give_no_rows_and_an_empty_one_is_named():
    assert rows_of([]).shape == (0, LAYOUT.width)
    (episode,) = demonstrations(1)
    episode.action = episode.action[:0]
    with pytest.raises(ValueError, match="toy-3000000 must have at least one step"):
        rows_of([episode])
