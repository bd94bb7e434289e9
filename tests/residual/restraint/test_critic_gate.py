"""Critics that scale and veto a residual: the laws at both ends, agreement with TD3, folders."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from ocrrl.interface.actions import compose
from ocrrl.interface.observations import action_features, action_of_features, residual_observation_dim
from ocrrl.interface.stall import FadeIn
from ocrrl.residual.gate_config import GateConfig
from ocrrl.residual.residual_config import ACTION_UNITS, ResidualConfig, in_action_units
from ocrrl.residual.residual_policy import ResidualPolicy, load_residual, save_residual
from ocrrl.residual.restraint.critic_gate import ALWAYS, NEVER, PREFIX, CriticGate
from ocrrl.residual.td3 import TD3
from tests.damaged_models import GONE, in_json, in_tensors, spoil, without
from tests.residual.toy_environment import TOY_TASK

DIM = residual_observation_dim(TOY_TASK)
CONFIG = ResidualConfig(actor_hidden=16, critic_hidden=16, gate=GateConfig(critics=3))


def states(count=40, dim=DIM, after=0) -> np.ndarray:
    random = np.random.default_rng(1)
    rows = random.standard_normal((count, dim)).astype(np.float32)
    base = random.uniform(-0.4, 0.4, (count, 7))
    rows[:, dim - after - 7 : dim - after] = base
    return rows


def policy(gate_changes=None, dim=DIM, **options) -> ResidualPolicy:
    """A policy and critics with random weights; without a gate for None."""
    td3 = TD3(dim, CONFIG, seed=0)
    td3._actor_average.normal_(generator=torch.Generator().manual_seed(2), std=0.3)
    weights = td3.actor_weights()
    actor = {name: value for name, value in weights.items() if not name.startswith(PREFIX)}
    critics = {name.removeprefix(PREFIX): value for name, value in weights.items() if name.startswith(PREFIX)}
    made = ResidualPolicy(actor, in_action_units(CONFIG.residual_scale), True, 4, **options)
    if gate_changes is not None:
        made.gate = CriticGate(critics, True, made.scale / ACTION_UNITS, **gate_changes)
    return made


def test_a_gate_that_always_opens_changes_no_bit_and_one_that_never_does_leaves_nothing():
    ungated = policy().residual(states())
    np.testing.assert_array_equal(policy({"margin": ALWAYS}).residual(states()), ungated)
    np.testing.assert_array_equal(policy({"margin": -1e9}).residual(states()), ungated)
    assert ungated.any(axis=1).all() and policy({"margin": ALWAYS}).residual(states()).dtype == np.float32
    for margin in (NEVER, 1e9):
        assert not policy({"margin": margin}).residual(states()).any()


@pytest.mark.parametrize("scalings", [1, 2, 4])
@pytest.mark.parametrize("margin", [ALWAYS, 0.0, NEVER])
def test_scales_are_the_scalings_or_nothing(margin, scalings):
    gated, seen = policy({"margin": margin, "scalings": scalings}), states()
    change = policy().residual(seen)
    scale = gated.gate.scale(seen, change, 0)
    allowed = {0.0, *(k / scalings for k in range(1, scalings + 1))}
    assert set(scale.ravel().tolist()) <= allowed and scale.shape == (len(seen), 1)
    np.testing.assert_array_equal(gated.residual(seen), change * scale)


def test_a_larger_margin_or_more_pessimism_never_lets_more_through():
    seen = states()

    def opens(**changes):
        return policy(changes).residual(seen).any(axis=1)

    by_margin = [opens(margin=margin) for margin in (-0.05, 0.0, 0.05)]
    assert 0 < by_margin[1].sum() < len(seen), "else this shows nothing"
    assert all((more >= less).all() for more, less in pairwise(by_margin))
    assert (opens(margin=0.0, pessimism=0.0) >= opens(margin=0.0, pessimism=2.0)).all()


@pytest.mark.parametrize("after", [0, 2])
def test_the_critics_are_given_what_td3_gives_them(after):
    """The bound of one critic, asked through TD3's own input and torch."""
    dim = DIM + after
    gated, td3, seen = (
        policy({"pessimism": 0.0}, dim, chunk_phase=after == 2),
        TD3(dim, CONFIG, seed=0),
        states(dim=dim, after=after),
    )
    change = policy(dim=dim).residual(seen)
    end = dim - after
    base = torch.from_numpy(action_of_features(seen[:, end - 7 : end]))
    observation, expected = torch.from_numpy(seen), []
    for critic in td3._gate_critics._targets:
        with_it, alone = (
            td3.critic_input(observation, torch.from_numpy(action_features(compose(base.numpy(), delta))), base)
            for delta in (change, 0.0 * change)
        )
        expected.append((critic.forward(with_it) - critic.forward(alone)).numpy()[:, 0])
    bounds = gated.gate.lower_bounds(seen, change, after, np.ones(1, np.float32))[:, 0]
    np.testing.assert_allclose(bounds, np.mean(expected, axis=0), atol=1e-5)
    pessimist = replace(gated.gate, pessimism=1.0).lower_bounds(seen, change, after, np.ones(1, np.float32))[:, 0]
    np.testing.assert_allclose(pessimist, np.mean(expected, axis=0) - np.std(expected, axis=0), atol=1e-5)


def test_features_of_an_action_are_undone():
    action = np.random.default_rng(0).uniform(-0.01, 0.5, (20, 7))
    np.testing.assert_allclose(action_of_features(action_features(action)), action, atol=1e-12)


def test_critics_of_the_gate_leave_what_td3_learns_as_it_is_bit_for_bit():
    from tests.residual.test_td3 import DIM as WIDTH
    from tests.residual.test_td3 import random_batch

    plain, gated = (TD3(WIDTH, replace(CONFIG, critic_warmup=0, gate=gate), seed=0) for gate in (None, CONFIG.gate))
    start = gated.actor_weights()
    for k in range(6):
        plain.update(random_batch(k))
        gated.update(random_batch(k))
    for name, value in plain.get_state().items():
        np.testing.assert_array_equal(gated.get_state()[name], value)
    learned = gated.actor_weights()
    for name in (name for name in learned if name.startswith(PREFIX)):
        assert learned[name].shape[0] == 3 and not np.array_equal(learned[name], start[name])
    weight = learned[f"{PREFIX}weight0"]
    assert not np.array_equal(weight[0], weight[1]), "each critic is its own"
    again = TD3(WIDTH, replace(CONFIG, critic_warmup=0), seed=5)
    again.set_state(gated.get_state())
    for td3 in (gated, again):
        td3.update(random_batch(9))
    np.testing.assert_array_equal(again.actor_weights()[f"{PREFIX}weight1"], gated.actor_weights()[f"{PREFIX}weight1"])


@pytest.mark.parametrize("margin", [ALWAYS, 0.25, NEVER])
def test_a_gate_and_a_wait_are_kept_in_the_folder(tmp_path, margin):
    made = policy({"margin": margin, "scalings": 2, "pessimism": 0.5}, fade_in=FadeIn(after=12))
    save_residual(tmp_path, made, TOY_TASK, {"gate": {"calibration": {"statement": "as it says"}}})
    loaded = load_residual(tmp_path, TOY_TASK)
    np.testing.assert_array_equal(loaded.residual(states()), made.residual(states()))
    assert loaded.fade_in == made.fade_in and loaded.gate.margin == margin
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["gate"]["margin"] == {ALWAYS: "always", NEVER: "never"}.get(margin, margin)
    assert config["gate"]["calibration"] == {"statement": "as it says"}
    assert config["format_version"] == 5, "code of before, which would not obey, refuses it"


def test_a_policy_without_them_says_nothing_of_them(tmp_path):
    save_residual(tmp_path, policy(), TOY_TASK, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["actor.safetensors", "config.json"]
    assert not {"gate", "fade_in", "coming_actions"} & set(json.loads((tmp_path / "config.json").read_text()))


DAMAGES = {
    "no critics": (without("critics.safetensors"), r"must hold critics\.safetensors, since config\.json has a gate"),
    "critics of NaN": (spoil("critics.safetensors", "weight1"), r"critics\.safetensors: weight1 must hold finite"),
    "a critic too few": (in_json("config.json", "gate.critics", 4), r"weight0 must have the shape \(4, "),
    "critics of another observation": (
        in_tensors("critics.safetensors", lambda t: t.update(weight0=t["weight0"][:, :-1].clone())),
        r"weight0 must have the shape",
    ),
    "no margin": (in_json("config.json", "gate.margin", GONE), r"config\.json: gate must have margin, pessimism"),
    "a margin in words": (
        in_json("config.json", "gate.margin", "often"),
        r"gate\.margin must be a number, never or always",
    ),
    "no number of scalings": (
        in_json("config.json", "gate.scalings", 0),
        r"gate\.scalings must be a whole number from 1",
    ),
    "a negative pessimism": (
        in_json("config.json", "gate.pessimism", -1),
        r"gate\.pessimism must be a number of at least 0",
    ),
    "a gate that is none": (in_json("config.json", "gate", True), r"config\.json: gate must have margin"),
    "no patience": (
        in_json("config.json", "fade_in.after", -1),
        r"config\.json: fade_in.*after must be at least 0 or null",
    ),
    "an unknown wait": (in_json("config.json", "fade_in.mood", 1), r"mood is no parameter"),
    "coming actions as text": (in_json("config.json", "coming_actions", "8"), r"coming_actions must be a whole number"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_gate_is_refused_by_name_in_one_line(tmp_path, kind):
    damage, message = DAMAGES[kind]
    save_residual(tmp_path, policy({"margin": 0.5}, fade_in=FadeIn()), TOY_TASK, {})
    damage(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=message) as refused:
        load_residual(tmp_path, TOY_TASK)
    assert str(tmp_path) in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"critics": 1}, "critics must be from 2 to 100, got 1"),
        ({"harm": 0.0}, r"harm must be in \(0, 1\), got 0.0"),
        ({"confidence": 1.0}, r"confidence must be in \(0, 1\)"),
        ({"margins": (0.0, 1.0)}, r"margins must be falling numbers, at least one, got \[0.0, 1.0\]"),
        ({"margins": ()}, "margins must be falling numbers"),
        ({"scalings": 0}, "scalings must be from 1"),
    ],
)
def test_bad_settings_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        GateConfig(**changes)


@pytest.mark.parametrize("name", ["gate", "fade_in"])
def test_a_residual_of_images_has_neither(name):
    value = {"gate": GateConfig(), "fade_in": FadeIn()}[name]
    with pytest.raises(
        ValueError, match=f"{name} must be left out unless observation is objects, got observation: images"
    ):
        ResidualConfig(observation="images", **{name: value})
