"""A tiny pi0.5 with random weights: what was saved is what acts, and every robot of a batch is answered alike."""

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from ocrrl.interface.observations import RobotState
from ocrrl.policies.checkpoint import load_vla
from ocrrl.policies.finetune import FinetuneConfig, finetune
from ocrrl.policies.training_data import TrainingData
from tests.policies.lerobot_dots import write_dots
from tests.policies.synthetic import INSTRUCTION, dot_frames
from tests.policies.tiny_pi05 import tiny_pi05

pytest.importorskip("transformers")


@pytest.fixture
def trained(tmp_path, monkeypatch, hub_cache):
    policy = tiny_pi05(monkeypatch, hub_cache)
    config = FinetuneConfig(policy=policy, steps=2, batch_size=4, learning_rate=1e-3, device="cpu")
    finetune(
        [TrainingData(write_dots(tmp_path / "dots"))], tmp_path / "pi05", tmp_path / "work", config, progress=False
    )
    return tmp_path / "pi05"


def observed(count):
    images, _ = dot_frames(np.random.default_rng(0), count)
    state = np.random.default_rng(1).normal(0.0, 0.02, (count, 8)).astype(np.float32)
    return {"front": images, "wrist": images}, RobotState.at_rest(state)


def test_equal_robots_get_equal_chunks_in_any_row_of_a_batch_of_any_size(trained):
    vla, (images, robot) = load_vla(trained), observed(3)
    alone = [
        vla.predict_chunk(
            {name: frames[k : k + 1] for name, frames in images.items()}, robot.take(np.array([k])), INSTRUCTION
        )[0]
        for k in range(3)
    ]
    rows = np.array([2, 0, 0, 1, 2])
    together = vla.predict_chunk({name: frames[rows] for name, frames in images.items()}, robot.take(rows), INSTRUCTION)
    np.testing.assert_allclose(together, [alone[row] for row in rows], atol=1e-6)
    assert not np.allclose(alone[0], alone[1], atol=1e-6)
    np.testing.assert_array_equal(
        together,
        load_vla(trained).predict_chunk(
            {name: frames[rows] for name, frames in images.items()}, robot.take(rows), INSTRUCTION
        ),
    )


def test_renamed_weights_are_never_taken_for_random_ones(trained):
    weights = trained / "model.safetensors"
    tensors = load_file(weights)
    save_file({name.replace("action_in_proj", "action_input_proj"): value for name, value in tensors.items()}, weights)
    with pytest.raises(ValueError, match=r"model\.safetensors must hold .*action_in"):
        load_vla(trained)


def test_training_does_not_start_from_renamed_weights_either(trained, tmp_path):
    weights = trained / "model.safetensors"
    save_file({f"base.{name}": value for name, value in load_file(weights).items()}, weights)
    config = FinetuneConfig(
        policy={"type": "pi05", "pretrained_path": str(trained)}, steps=1, batch_size=2, device="cpu"
    )
    with pytest.raises(ValueError, match=r"model\.safetensors must hold"):
        finetune([TrainingData(tmp_path / "dots")], tmp_path / "out", tmp_path / "work", config, progress=False)
    assert not (tmp_path / "out").exists()
