import numpy as np

from ocrrl.interface.actions import ACTION_HIGH
from ocrrl.policies.normalisation import Normalisation


def test_statistics_are_those_of_the_frames():
    generator = np.random.default_rng(0)
    state = generator.normal(1.0, 0.5, (500, 8)).astype(np.float32)
    action = generator.normal(0.1, 0.3, (500, 7)).astype(np.float32)
    statistics = Normalisation.of(state, action)
    assert np.allclose(statistics.state_mean, state.mean(0), atol=1e-6)
    assert np.allclose(statistics.action_std, action.std(0), atol=1e-6)


def test_a_dimension_that_hardly_moves_is_not_blown_up():
    statistics = Normalisation.of(np.zeros((10, 8), np.float32), np.zeros((10, 7), np.float32))
    assert np.allclose(statistics.action_std, 0.05 * ACTION_HIGH)
    assert (statistics.state_std > 0).all()
