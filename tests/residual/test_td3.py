"""TD3's pieces: delay, warm-up, targets, checkpoints, and the gradient of the whole actor loss."""

import numpy as np
import pytest
import torch

from ocrrl.interface.actions import compose
from ocrrl.interface.observations import action_features
from ocrrl.residual.residual_config import ACTION_UNITS, ResidualConfig, in_action_units, per_dimension
from ocrrl.residual.td3 import TD3
from ocrrl.residual.transitions import TransitionRow

DIM, BATCH = 6, 32


def learner(**changes) -> TD3:
    return TD3(DIM, ResidualConfig(actor_hidden=16, critic_hidden=16, **({"critic_warmup": 0} | changes)), seed=0)


def random_batch(seed: int = 0) -> torch.Tensor:
    layout, random = TransitionRow(DIM), np.random.default_rng(seed)
    rows = random.standard_normal((BATCH, layout.width)).astype(np.float32)
    for part in (layout.base_action(rows), layout.next_base_action(rows)):
        part *= [0.01] * 3 + [0.05] * 3 + [0.2]
        part[:, 6] += 0.5
    layout.reward(rows)[:] = random.random((BATCH, 1))
    layout.discount(rows)[:] = 0.9
    return torch.from_numpy(rows)


def test_actor_and_targets_wait_for_the_delay_and_the_warm_up():
    td3 = learner(critic_warmup=4)
    start = td3.get_state()
    td3.update(random_batch())
    assert not np.array_equal(td3.get_state()["critics"], start["critics"])
    assert np.array_equal(td3.get_state()["critics_target"], start["critics_target"])
    for _ in range(4):
        td3.update(random_batch())
    assert not np.array_equal(td3.get_state()["critics_target"], start["critics_target"])
    assert np.array_equal(td3.get_state()["actor"], start["actor"])
    td3.update(random_batch())
    assert not np.array_equal(td3.get_state()["actor"], start["actor"])


@pytest.mark.parametrize("critic_warmup", [0, 3, 4])
def test_the_published_actor_is_first_the_mean_of_all_and_then_follows_them(critic_warmup):
    td3, expected = learner(critic_warmup=critic_warmup, actor_ema=0.3), None
    actors = [td3.get_state()["actor"]]
    while len(actors) < 7:
        td3.update(random_batch())
        actor = td3.get_state()["actor"]
        if np.array_equal(actor, actors[-1]):
            continue
        actors.append(actor)
        count = len(actors) - 1
        expected = np.mean(actors[1:], axis=0) if count <= 3 else expected + 0.3 * (actor - expected)
        np.testing.assert_allclose(td3.get_state()["actor_average"], expected, atol=1e-6)
    np.testing.assert_array_equal(td3.actor_weights()["bias2"].ravel(), td3.get_state()["actor_average"][-7:])


def test_targets_stay_within_the_range_of_returns():
    batch = random_batch()
    TransitionRow(DIM).reward(batch)[:] = torch.linspace(-5, 5, BATCH)[:, None]
    for shaping, lowest in ((0.0, 0.0), (0.5, -1.0)):
        td3 = learner(gamma=0.5, shaping=shaping)
        target = td3._target(batch, td3._next_state_action(batch))
        assert target.min() == lowest and target.max() == 2.0


def test_the_critics_see_how_far_the_combined_action_is_from_the_base_s_in_units_of_the_bound():
    td3, batch, layout = learner(residual_scale=(0.3, 0.6, 1.5)), random_batch(), TransitionRow(DIM)
    base_action, bound = layout.base_action(batch), in_action_units((0.3, 0.6, 1.5))
    residual = torch.from_numpy(bound) * torch.tensor([1.0, -1.0, 0.5, 0.0, 0.0, 0.0, 0.2])
    critic_input = td3.critic_input(layout.observation(batch), action_features(base_action + residual), base_action)
    torch.testing.assert_close(critic_input[:, :DIM], layout.observation(batch))
    expected = torch.tensor([1.0, -1.0, 0.5, 0.0, 0.0, 0.0, 0.2]).expand(BATCH, -1)
    torch.testing.assert_close(critic_input[:, DIM:], expected, atol=1e-4, rtol=1e-4)


def test_a_target_without_discount_is_the_reward():
    td3, batch = learner(), random_batch()
    TransitionRow(DIM).discount(batch)[:] = 0.0
    torch.testing.assert_close(td3._target(batch, td3._next_state_action(batch)), TransitionRow(DIM).reward(batch))


def test_the_actor_s_gradient_is_autograd_s():
    td3 = learner(l2=0.3, bc_coef=0.7)
    td3._actor.mul_(2.0)
    td3._actor[-7:].add_(0.1)
    batch, offline_count, layout = random_batch(), 10, TransitionRow(DIM)
    td3.config = ResidualConfig(l2=0.3, bc_coef=0.7, layer_norm=True)
    parameters = [p.detach().clone().requires_grad_() for p in td3.actor.parameters]

    def network(x, parameters):
        for i in (0, 2):
            x = torch.relu(torch.nn.functional.layer_norm(x @ parameters[i] + parameters[i + 1], (16,)))
        return x @ parameters[4] + parameters[5]

    u = torch.tanh(network(layout.observation(batch), parameters))
    features = action_features(compose(layout.base_action(batch), u * td3._scale))
    changes = (features - action_features(layout.base_action(batch))) / torch.as_tensor(
        per_dimension(td3.config.residual_scale)
    )
    value = network(torch.cat([layout.observation(batch), changes], 1), td3.critics[0].parameters)
    loss = -value.mean() + 0.3 * u.square().sum(1).mean()
    loss = loss + 0.7 * (features - layout.action(batch))[:offline_count].square().sum(1).mean()
    expected = torch.autograd.grad(loss, parameters)

    td3._update_actor(batch, offline_count)
    for got, want in zip(td3.actor.gradients, expected, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-6)


def test_both_critics_learn_a_known_value():
    td3, batch = learner(critic_lr=3e-3, critic_warmup=10_000), random_batch()
    TransitionRow(DIM).discount(batch)[:] = 0.0
    for _ in range(400):
        td3.update(batch)
    layout = TransitionRow(DIM)
    critic_input = td3.critic_input(layout.observation(batch), layout.action(batch), layout.base_action(batch))
    for critic in td3.critics:
        error = critic.forward(critic_input) - layout.reward(batch)
        assert error.abs().max() < 0.05


def test_a_restored_learner_goes_on_exactly():
    one, other = learner(), learner()
    for seed in range(5):
        one.update(random_batch(seed), 4)
    other.set_state(one.get_state())
    for td3 in (one, other):
        for seed in range(5, 10):
            td3.update(random_batch(seed), 4)
    assert one.statistics() == other.statistics()
    for name, value in one.get_state().items():
        np.testing.assert_array_equal(value, other.get_state()[name], err_msg=name)


@pytest.mark.parametrize(
    ("field", "value"),
    [("gamma", 1.0), ("tau", 0.0), ("batch_size", 0), ("offline_fraction", 1.1), ("residual_scale", (0.1, 0.0, 1.0)),
     ("exploration_std", (0.1,)), ("friction_scale", (1.2, 0.8)), ("latency_steps", (-1, 0)), ("l2", -1.0), ("dropout", 2.0),
     ("action_repeat", 0), ("shaping", 1.5), ("actor_ema", 0.0)],
)  # fmt: skip
def test_bad_settings_are_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"^{field} must be .*, got"):
        ResidualConfig(**{field: value})


def test_scales_are_three_numbers_or_one_for_each_of_the_action_s():
    np.testing.assert_allclose(per_dimension((0.3, 0.6, 1.5)), [0.3] * 3 + [0.6] * 3 + [1.5])
    seven = (0.3, 0.3, 0.3, 0.05, 0.05, 0.2, 1.0)
    np.testing.assert_allclose(per_dimension(ResidualConfig(residual_scale=seven).residual_scale), seven)
    np.testing.assert_allclose(in_action_units(seven), np.array(seven) * ACTION_UNITS)
