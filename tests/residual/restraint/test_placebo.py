"""A disturbance that is far below a residual, and always the same for a state."""

import numpy as np

from ocrrl.interface.actions import limit
from ocrrl.params import Params
from ocrrl.residual.residual_config import in_action_units
from ocrrl.residual.restraint.placebo import PLACEBO_SHARE, Placebo
from ocrrl.tabletop.registry import MODULES
from tests.rollouts.toy_environment import ToyBase, ToyEnvironment

AMPLITUDE = np.array([1e-4] * 3 + [1e-3] * 3 + [0.01])


def test_the_placebo_is_far_below_what_a_residual_does():
    for slug in MODULES:
        scale = in_action_units(Params.read().config("train_residual", slug).residual_scale)
        assert (PLACEBO_SHARE * scale)[:3].max() < 0.2e-3, "m a step"


def test_a_disturbance_is_small_held_for_a_decision_and_the_same_for_a_state():
    base, ids = ToyBase(), np.arange(2)
    seen = ToyEnvironment(2).observe()

    def actions(amplitude, seeds):
        policy = Placebo(base, 2, amplitude, every=4)
        policy.reset(ids, seeds)
        return np.array([policy.act(seen, ids, None) for _ in range(12)])

    plain = limit(base.act(seen, ids, None))
    disturbed = actions(AMPLITUDE, [5, 6]) - plain
    assert (np.abs(disturbed) <= AMPLITUDE + 1e-7)[..., :6].all() and np.abs(disturbed[..., :6]).max() > 0.5e-4
    np.testing.assert_array_equal(disturbed[0], disturbed[3])
    assert (disturbed[3] != disturbed[4]).any() and (disturbed[:, 0] != disturbed[:, 1]).any()
    np.testing.assert_array_equal(actions(AMPLITUDE, [6, 5])[:, 1], actions(AMPLITUDE, [5, 6])[:, 0])
    np.testing.assert_allclose(actions(0 * AMPLITUDE, [5, 6])[0], plain, atol=1e-7)
