"""A tiny random SmolVLA goes the way of any VLA: fine-tuned, deployed, retrained."""

import numpy as np
import pytest

from ocrrl.interface.observations import Observation
from ocrrl.policies.checkpoint import load_vla
from ocrrl.policies.chunked_policy import ChunkedPolicy
from ocrrl.policies.finetune import FinetuneConfig, finetune
from ocrrl.policies.training_data import TrainingData
from tests.policies.lerobot_dots import write_dots
from tests.policies.random_smolvla import TINY, random_smolvla
from tests.policies.synthetic import INSTRUCTION, dot_frames

pytest.importorskip("transformers")


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_a_smolvla_is_finetuned_deployed_and_retrained(tmp_path, device):
    root = write_dots(tmp_path / "dots")
    policy = random_smolvla(TINY, tmp_path / "smolvlm")
    config = FinetuneConfig(policy=policy, steps=2, batch_size=4, learning_rate=1e-3, device=device)
    for name in ("first", "same"):
        finetune([TrainingData(root)], tmp_path / name, tmp_path / "work", config, progress=False)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("first", "same")]
    assert weights[0] == weights[1]

    first = act(tmp_path / "first", device)
    assert first.shape == (2, 7) and np.isfinite(first).all()
    assert np.array_equal(first, act(tmp_path / "same", device))

    finetune(
        [TrainingData(root)],
        tmp_path / "again",
        tmp_path / "work",
        config,
        init_from=tmp_path / "first",
        progress=False,
    )
    assert not np.array_equal(first, act(tmp_path / "again", device))
    with pytest.raises(ValueError, match=r"policy\.type must be smolvla to continue from"):
        finetune(
            [TrainingData(root)],
            tmp_path / "x",
            tmp_path / "work",
            FinetuneConfig(),
            init_from=tmp_path / "first",
            progress=False,
        )


def act(checkpoint, device) -> np.ndarray:
    """The first actions of two environments."""
    pose = np.tile([0.5, 0.0, 0.1, 0.0, 1.0, 0.0, 0.0], (2, 1))
    observation = Observation(pose, pose, np.zeros((2, 7)), np.zeros(2), np.zeros((2, 1, 7)), np.ones((2, 1)))

    def capture(ids):
        images, _ = dot_frames(np.random.default_rng(0), len(ids))
        return {"front": images, "wrist": images}

    return ChunkedPolicy(load_vla(checkpoint, device), INSTRUCTION, num_envs=2).act(observation, np.arange(2), capture)
