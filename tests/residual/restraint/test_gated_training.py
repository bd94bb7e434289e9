"""Algorithm 1 with a gate's critics beside it: the same actor, one more file, and an exact resume."""

import json
from dataclasses import replace

import pytest

from ocrrl.residual.gate_config import GateConfig
from ocrrl.residual.learning_curve import BlockingValidation
from ocrrl.residual.residual_policy import load_residual
from ocrrl.residual.restraint.critic_gate import ALWAYS
from ocrrl.residual.restraint.learn_then_test import Calibration
from tests.residual.test_train_residual import SMALL, Killed, grade, killed_at, train
from tests.residual.toy_environment import TOY_TASK

GATED = replace(SMALL, gate=GateConfig(critics=2, margins=(1.0, 0.5)))


def calibrated(policy) -> Calibration:
    """As if 0.5 had been the best margin; it is asked for the policy that is published."""
    assert policy.gate.margin == ALWAYS
    return Calibration(0.5, [], 0, "as if")


def test_a_gate_is_published_with_its_critics_and_its_calibrated_margin_and_the_same_actor(tmp_path):
    grades = BlockingValidation(grade)
    policy, gated = train(tmp_path / "gated", GATED, validation=grades, calibrate=calibrated)
    _, plain = train(tmp_path / "plain", validation=BlockingValidation(grade))
    assert set(gated) - set(plain) == {"critics.safetensors"}
    assert gated["actor.safetensors"] == plain["actor.safetensors"] and gated["curve.json"] == plain["curve.json"]
    described = json.loads(gated["config.json"])["gate"]
    assert described["margin"] == 0.5 and described["calibration"]["statement"] == "as if"
    assert policy.gate.margin == load_residual(tmp_path / "gated/out", TOY_TASK).gate.margin == 0.5


def test_a_killed_run_with_a_gate_goes_on_to_the_same_bytes(tmp_path):
    options = {"config": GATED, "calibrate": calibrated}
    _, whole = train(tmp_path / "whole", validation=BlockingValidation(grade), **options)
    with pytest.raises(Killed):
        train(tmp_path / "killed", validation=BlockingValidation(grade), progress=killed_at(252), **options)
    assert train(tmp_path / "killed", validation=BlockingValidation(grade), **options)[1] == whole
