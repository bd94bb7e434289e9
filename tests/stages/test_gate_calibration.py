"""The stage's calibration of a gate, on the toy in place of the simulator."""

from dataclasses import replace

import numpy as np
import pytest

from ocrrl.interface.observations import residual_observation_dim
from ocrrl.layout import Layout
from ocrrl.residual.gate_config import GateConfig
from ocrrl.residual.residual_config import ACTION_UNITS, ResidualConfig, in_action_units
from ocrrl.residual.residual_policy import ResidualPolicy
from ocrrl.residual.restraint.critic_gate import ALWAYS, NEVER, PREFIX, CriticGate
from ocrrl.residual.td3 import TD3
from ocrrl.stages import train_residual
from tests.residual.toy_environment import TOY_TASK, ToyBase, ToyEnvironment

CONFIG = ResidualConfig(
    actor_hidden=16, critic_hidden=16, gate=GateConfig(critics=2, margins=(1e6, 0.0), harm=0.4, episodes=40)
)


@pytest.fixture
def policy() -> ResidualPolicy:
    """An untrained actor, whose residuals are next to nothing."""
    weights, scale = TD3(residual_observation_dim(TOY_TASK), CONFIG, seed=0).actor_weights(), CONFIG.residual_scale
    critics = {name.removeprefix(PREFIX): value for name, value in weights.items() if name.startswith(PREFIX)}
    actor = {name: value for name, value in weights.items() if not name.startswith(PREFIX)}
    made = ResidualPolicy(actor, in_action_units(scale), True, CONFIG.action_repeat)
    made.gate = CriticGate(critics, True, made.scale / ACTION_UNITS)
    return made


def calibrated(policy, monkeypatch, config=CONFIG):
    environment = ToyEnvironment(20)
    monkeypatch.setattr(train_residual, "_validation", lambda *arguments: (environment, ToyBase(20)))
    found = train_residual.calibration("cube_lift", Layout("cube_lift"), config, (), (), policy)
    return found, [seed for _, seed in environment.resets]


def test_base_placebo_and_margins_run_the_same_states_of_which_none_chose_the_checkpoint(policy, monkeypatch, capsys):
    found, seeds = calibrated(policy, monkeypatch)
    states = list(range(1_100_000, 1_100_040))
    assert len(seeds) == 40 * (2 + len(found.tested)) and seeds == states * (2 + len(found.tested))
    assert found.tested[0].margin == 1e6 and found.tested[0].acting == 0.0
    assert found.tested[0].lost == 0, "a veto everywhere is the base, in the toy whose contacts amplify nothing"
    assert f"train_residual cube_lift: {found.statement}" in capsys.readouterr().out
    assert policy.gate.margin == ALWAYS, "the policy itself is left alone"


def test_with_too_few_states_for_the_limit_the_residual_never_acts(policy, monkeypatch):
    strict = replace(CONFIG, gate=replace(CONFIG.gate, harm=0.001))
    found, _ = calibrated(policy, monkeypatch, strict)
    assert found.margin == NEVER and len(found.tested) == 1 and np.isfinite(found.tested[0].p)
