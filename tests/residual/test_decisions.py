"""A residual kept for several steps: when the next one is due, and what a decision led to."""

import numpy as np

from ocrrl.interface.actions import compose
from ocrrl.residual.decisions import Decisions

NOT_ENDED = np.zeros(2, bool)


def decided(every: int, gamma: float = 0.5) -> Decisions:
    decisions = Decisions(2, 3, every, gamma)
    assert list(decisions.due()) == [0, 1], "an episode begins with a decision"
    decisions.make(decisions.due(), np.ones((2, 3)), np.full((2, 7), 0.001), np.full((2, 7), 0.002))
    return decisions


def test_a_decision_lasts_its_steps_and_sums_their_discounted_rewards():
    decisions = decided(3)
    for _ in range(2):
        assert not len(decisions.due())
        assert not len(decisions.step(np.array([1.0, 2.0]), NOT_ENDED))
    assert list(decisions.step(np.array([1.0, 2.0]), NOT_ENDED)) == [0, 1]
    np.testing.assert_allclose(decisions.reward, [1.75, 3.5])
    np.testing.assert_allclose(decisions.action, compose(decisions.base_action, decisions.residual), rtol=1e-5)


def test_an_episode_s_end_ends_the_decision_and_the_other_environment_goes_on():
    decisions = decided(3)
    assert list(decisions.step(np.ones(2), np.array([True, False]))) == [0]
    decisions.make(np.array([0]), np.zeros((1, 3)), np.zeros((1, 7)), np.zeros((1, 7)))
    assert list(decisions.age) == [0, 1] and list(decisions.reward) == [0.0, 1.0]


def test_with_one_step_a_decision_every_step_is_due():
    decisions = decided(1)
    assert list(decisions.step(np.ones(2), NOT_ENDED)) == [0, 1]


def test_it_survives_a_checkpoint():
    one, other = decided(3), Decisions(2, 3, 3, 0.5)
    one.step(np.ones(2), NOT_ENDED)
    other.set_state(one.get_state())
    np.testing.assert_array_equal(one.step(np.ones(2), NOT_ENDED), other.step(np.ones(2), NOT_ENDED))
    np.testing.assert_array_equal(one.reward, other.reward)
