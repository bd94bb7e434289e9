"""`policy.use_amp`: a LeRobot policy is trained and answers in bfloat16 where it may, and stays one of 32-bit weights."""

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from ocrrl.interface.observations import RobotState
from ocrrl.policies.checkpoint import load_vla
from ocrrl.policies.finetune import finetune
from ocrrl.policies.finetune_config import FinetuneConfig
from ocrrl.policies.training_data import TrainingData
from tests.policies.lerobot_dots import write_dots
from tests.policies.synthetic import INSTRUCTION, dot_frames

ACT = {
    "type": "act", "pretrained_backbone_weights": None, "dim_model": 32, "n_heads": 2, "dim_feedforward": 32, "chunk_size": 4,
    "n_encoder_layers": 1, "n_vae_encoder_layers": 1, "n_action_steps": 4,
}  # fmt: skip


@pytest.fixture
def computed(monkeypatch):
    """The types that products of matrices come out in."""
    types = set()
    forward = torch.nn.Linear.forward

    def spied(module, rows):
        out = forward(module, rows)
        types.add(out.dtype)
        return out

    monkeypatch.setattr(torch.nn.Linear, "forward", spied)
    return types


@pytest.mark.parametrize("mixed", [True, False])
def test_the_policy_computes_in_bfloat16_if_use_amp_says_so(tmp_path, computed, mixed):
    config = FinetuneConfig(policy=ACT | {"use_amp": mixed}, steps=2, batch_size=4, learning_rate=1e-3, device="cpu")
    finetune([TrainingData(write_dots(tmp_path / "dots"))], tmp_path / "vla", tmp_path / "work", config, progress=False)
    assert (torch.bfloat16 in computed) is mixed
    assert {weights.dtype for weights in load_file(tmp_path / "vla/model.safetensors").values()} == {np.dtype("f4")}
    computed.clear()
    images, _ = dot_frames(np.random.default_rng(0), 2)
    robot = RobotState.at_rest(np.zeros((2, 8), np.float32))
    chunk = load_vla(tmp_path / "vla", "cpu").predict_chunk({"front": images, "wrist": images}, robot, INSTRUCTION)
    assert (torch.bfloat16 in computed) is mixed and chunk.dtype == np.float32
    written = json.loads((tmp_path / "vla/config.json").read_text())
    (tmp_path / "vla/config.json").write_text(json.dumps(written | {"use_amp": not mixed}))
    other = load_vla(tmp_path / "vla", "cpu").predict_chunk({"front": images, "wrist": images}, robot, INSTRUCTION)
    assert not np.array_equal(chunk, other)
    np.testing.assert_allclose(chunk, other, atol=2e-3)
