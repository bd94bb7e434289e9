"""Demonstrations as transitions."""

import numpy as np
import pytest

from ocrrl.interface.observations import action_features, residual_observation, residual_observation_dim
from ocrrl.residual.offline import offline_transitions
from ocrrl.residual.pose_augmentation import PoseAugmentation
from ocrrl.residual.transitions import TransitionRow
from tests.residual.toy_environment import TOY_TASK, ToyBase, demonstrations

DIM = residual_observation_dim(TOY_TASK)
LAYOUT = TransitionRow(DIM)
CLEAN = PoseAugmentation(0.0, 0.0, 0.0)


def rows_of(episodes, n_step=1, num_envs=16, augmentation=CLEAN, seed=0):
    base = ToyBase(num_envs)
    return offline_transitions(
        episodes, base, augmentation, np.random.default_rng(seed), TOY_TASK, DIM, 0.9, n_step, True, num_envs
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


def test_a_success_ends_with_the_value_of_reward_for_ever_a_failure_bootstraps():
    (solved,), (failed,) = demonstrations(1), demonstrations(1)
    failed.success[:] = False
    assert solved.success[-1]
    last = rows_of([solved])[-1]
    assert LAYOUT.discount(last) == 0.0 and LAYOUT.reward(last) == pytest.approx(1.0 + 0.9 * 10.0)
    last = rows_of([failed])[-1]
    assert LAYOUT.discount(last) == pytest.approx(0.9) and LAYOUT.reward(last) == pytest.approx(failed.reward[-1])


def test_more_episodes_than_environments_are_taken_in_groups():
    episodes = demonstrations(5)
    together, grouped = rows_of(episodes, 3), rows_of(episodes, 3, num_envs=2)
    np.testing.assert_array_equal(together[np.lexsort(together.T)], grouped[np.lexsort(grouped.T)])


def test_poses_are_augmented_as_in_training():
    episodes = demonstrations(4)
    dropped = LAYOUT.observation(rows_of(episodes, augmentation=PoseAugmentation(dropout=1.0)))
    assert not dropped[:, :13].any()
    noisy, clean = (
        LAYOUT.observation(rows_of(episodes, augmentation=a)) for a in (PoseAugmentation(dropout=0.0), CLEAN)
    )
    assert 0.0 < np.abs(noisy - clean)[:, :3].max() <= 0.0501


def test_no_demonstrations_give_no_rows_and_an_empty_one_is_named():
    assert rows_of([]).shape == (0, LAYOUT.width)
    (episode,) = demonstrations(1)
    episode.action = episode.action[:0]
    with pytest.raises(ValueError, match="toy-3000000 must have at least one step"):
        rows_of([episode])
