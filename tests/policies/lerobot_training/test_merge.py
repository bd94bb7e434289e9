"""An adapter is merged into its base, and only what answers as the trained policy is published."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ocrrl.datasets.frames.decoded_frames import read_numbers
from ocrrl.policies.lerobot_learner import LeRobotLearner
from ocrrl.policies.lerobot_training import merge
from ocrrl.policies.lerobot_training.merge import publish_checkpoint
from ocrrl.policies.lerobot_vla import open_lerobot_policy
from tests.policies.lerobot_dots import write_dots
from tests.policies.tiny_pi05 import tiny_pi05

pytest.importorskip("peft")
TARGETS = ["q_proj", "v_proj", "action_in_proj"]


@pytest.fixture
def trained(tmp_path, monkeypatch, hub_cache):
    """A tiny pi0.5 in `start`, and an adapter with random weights in `adapter` as `lerobot-train` saves one; the answers of both."""
    dots = write_dots(tmp_path / "dots")
    torch.manual_seed(0)
    learner = LeRobotLearner(dots, read_numbers(dots), tiny_pi05(monkeypatch, hub_cache), None, "cpu")
    learner.save(tmp_path / "start")
    policy, preprocessor, postprocessor = open_lerobot_policy(tmp_path / "start", "cpu", "pi05", False)
    before = merge.answer(policy, preprocessor)
    policy.config.pretrained_path = tmp_path / "start"
    wrapped = policy.wrap_with_peft(peft_cli_overrides={"method_type": "LORA", "r": 4, "target_modules": TARGETS})
    with torch.no_grad():
        for name, value in wrapped.named_parameters():
            if "lora_" in name:
                value.normal_(0.0, 0.1)
    for part in (wrapped, wrapped.config, preprocessor, postprocessor):
        part.save_pretrained(tmp_path / "adapter")
    return before, merge.answer(wrapped, preprocessor)


def publish(folder):
    publish_checkpoint(folder / "adapter", folder / "start", folder / "out", "cpu", "pi05", False)


def test_the_published_policy_answers_as_base_and_adapter_do(trained, tmp_path):
    before, after = trained
    publish(tmp_path)
    policy, preprocessor, _ = open_lerobot_policy(tmp_path / "out", "cpu", "pi05", False)
    answer = merge.answer(policy, preprocessor)
    np.testing.assert_allclose(answer, after, atol=1e-5)
    assert np.abs(answer - before).max() > 1e-2
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert "adapter_config.json" not in names and {"config.json", "model.safetensors"} <= names


def test_a_merge_that_loses_the_adapter_is_not_published(trained, tmp_path, monkeypatch):
    from peft import PeftModel

    monkeypatch.setattr(PeftModel, "merge_and_unload", lambda self: self.unload(), raising=False)
    with pytest.raises(
        RuntimeError, match=r"out must answer as the policy that was trained, within 0\.0001 .*, got [0-9.]+"
    ):
        publish(tmp_path)


def test_an_adapter_of_other_tensors_is_refused_by_name(trained, tmp_path):
    weights = tmp_path / "adapter/adapter_model.safetensors"
    tensors = load_file(weights)
    save_file({name.replace("q_proj", "k_proj"): value for name, value in tensors.items()}, weights)
    with pytest.raises(ValueError, match=r"adapter_model\.safetensors must hold the tensors of the adapter .*q_proj"):
        publish(tmp_path)
    assert not (tmp_path / "out").exists()
