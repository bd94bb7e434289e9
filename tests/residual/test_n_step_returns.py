"""n-step returns by hand, across interleaved environments, and what episodes' ends bootstrap from."""

import numpy as np

from ocrrl.interface.observations import action_features
from ocrrl.residual.n_step_returns import NStepReturns

GAMMA = 0.5
FOR_EVER = 1 / (1 - GAMMA)


def feed(returns: NStepReturns, t: int, rewards, terminated, truncated, ids=None) -> np.ndarray:
    """One step in which environment i's observation is 10 i + t, its next one 10 i + t + 1, its action marked alike."""
    ids = np.arange(len(rewards)) if ids is None else np.asarray(ids)
    mark = (10.0 * ids + t)[:, None]
    action = np.tile(mark, (1, 7)) * 1e-4
    return returns.add(
        ids, mark, action, action + 1e-4, np.array(rewards, float), mark + 1, action + 2e-4,
        np.array(terminated, bool), np.array(truncated, bool),
    )  # fmt: skip


def described(layout, rows) -> list[tuple[float, float, float, float]]:
    """(observation, next observation, reward, discount) of each row."""
    columns = (layout.observation(rows), layout.next_observation(rows), layout.reward(rows), layout.discount(rows))
    return [tuple(float(x) for x in row) for row in np.concatenate(columns, axis=1)]


def test_windows_of_interleaved_environments_do_not_mix():
    returns = NStepReturns(2, 1, n_step=3, gamma=GAMMA, success_value=FOR_EVER)
    assert len(feed(returns, 0, [1, 0], [0, 0], [0, 0])) == 0
    assert len(feed(returns, 1, [2, 0], [0, 0], [0, 0])) == 0
    rows = feed(returns, 2, [4, 8], [0, 0], [0, 0])
    assert described(returns.layout, rows) == [(0, 3, 1 + 2 / 2 + 4 / 4, 1 / 8), (10, 13, 8 / 4, 1 / 8)]
    rows = feed(returns, 3, [8, 0], [0, 0], [0, 0])
    assert described(returns.layout, rows) == [(1, 4, 2 + 4 / 2 + 8 / 4, 1 / 8), (11, 14, 8 / 2, 1 / 8)]


def test_truncation_bootstraps_every_open_window_from_the_observation_before_the_reset():
    returns = NStepReturns(2, 1, n_step=3, gamma=GAMMA, success_value=FOR_EVER)
    feed(returns, 0, [1, 0], [0, 0], [0, 0])
    rows = feed(returns, 1, [2, 0], [0, 0], [1, 0])
    assert described(returns.layout, rows) == [(0, 2, 2.0, 1 / 4), (1, 2, 2.0, 1 / 2)]
    assert len(feed(returns, 5, [1], [0], [0], ids=[0])) == 0, "the new episode's window starts empty"
    feed(returns, 6, [1], [0], [0], ids=[0])
    rows = feed(returns, 7, [1], [0], [0], ids=[0])
    assert described(returns.layout, rows) == [(5, 8, 1.75, 1 / 8)]
    assert described(returns.layout, feed(returns, 2, [8], [0], [0], ids=[1])) == [(10, 13, 2.0, 1 / 8)]


def test_success_is_worth_reward_one_for_ever_and_bootstraps_from_nothing():
    returns = NStepReturns(1, 1, n_step=3, gamma=GAMMA, success_value=FOR_EVER)
    feed(returns, 0, [0.5], [0], [0])
    rows = feed(returns, 1, [1.0], [1], [0])
    expected = [(0, 2, 0.5 + 0.5 * 1 + 0.25 * FOR_EVER, 0), (1, 2, 1 + 0.5 * FOR_EVER, 0)]
    assert described(returns.layout, rows) == expected
    assert described(returns.layout, rows)[1][2] == FOR_EVER, "1 + gamma + gamma^2 + ... = 1/(1 - gamma)"


def test_where_a_success_is_worth_nothing_more_nothing_follows():
    returns = NStepReturns(1, 1, n_step=3, gamma=GAMMA, success_value=0.0)
    assert described(returns.layout, feed(returns, 0, [1.0], [1], [0])) == [(0, 1, 1, 0)]


def test_rows_hold_the_combined_action_and_the_base_actions_of_both_ends():
    returns = NStepReturns(1, 1, n_step=2, gamma=GAMMA, success_value=FOR_EVER)
    feed(returns, 3, [0], [0], [0])
    rows, layout = feed(returns, 4, [0], [0], [0]), returns.layout
    action = np.full((1, 7), 3e-4)
    np.testing.assert_allclose(layout.action(rows), action_features(action), rtol=1e-6)
    np.testing.assert_allclose(layout.base_action(rows), action + 1e-4, rtol=1e-6)
    np.testing.assert_allclose(layout.next_base_action(rows), np.full((1, 7), 4e-4) + 2e-4, rtol=1e-6)


def test_open_windows_survive_a_checkpoint():
    one, other = (NStepReturns(2, 1, 3, GAMMA, FOR_EVER) for _ in range(2))
    feed(one, 0, [1, 2], [0, 0], [0, 0])
    feed(one, 1, [3, 4], [0, 0], [0, 0])
    other.set_state(one.get_state())
    np.testing.assert_array_equal(feed(one, 2, [1, 1], [0, 1], [0, 0]), feed(other, 2, [1, 1], [0, 1], [0, 0]))
