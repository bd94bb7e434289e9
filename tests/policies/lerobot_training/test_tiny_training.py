"""`lerobot-train` on tiny policies with random weights: killed and resumed, merged, published, opened again."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ocrrl.interface.observations import RobotState
from ocrrl.policies.checkpoint import load_vla
from ocrrl.policies.finetune import FinetuneConfig, finetune
from ocrrl.policies.finetune_config import LerobotTraining
from ocrrl.policies.latency_file import policy_kind, write_latency
from ocrrl.policies.lerobot_training import train
from ocrrl.policies.training_data import TrainingData
from tests.policies.lerobot_dots import write_dots
from tests.policies.synthetic import INSTRUCTION, dot_frames
from tests.policies.tiny_groot import tiny_groot
from tests.policies.tiny_lerobot_train import KILLED_IN
from tests.policies.tiny_pi05 import tiny_pi05

pytest.importorskip("peft")
pytestmark = pytest.mark.slow
HERE = LerobotTraining(num_workers=0)
LORA = replace(
    HERE, peft={"method_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": r".*\.(q_proj|v_proj|action_in_proj)"}
)
SHORT = FinetuneConfig(
    policy={"type": "pi05"},
    steps=4,
    batch_size=4,
    learning_rate=1e-2,
    checkpoint_every=2,
    device="cpu",
    trainer="lerobot",
)


@pytest.fixture(autouse=True)
def tiny_child(monkeypatch):
    monkeypatch.setattr(train, "CHILD", ("-m", "tests.policies.tiny_lerobot_train"))


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def chunk(folder, allowed=None):
    images, _ = dot_frames(np.random.default_rng(0), 2)
    state = RobotState.at_rest(np.random.default_rng(1).normal(0.0, 0.02, (2, 8)).astype(np.float32))
    return load_vla(folder, "cpu", allowed).predict_chunk({"front": images, "wrist": images}, state, INSTRUCTION)


@pytest.mark.parametrize("kind", ["pi05 with LoRA", pytest.param("groot", marks=pytest.mark.long)])
def test_a_run_that_is_killed_and_resumed_publishes_the_bytes_of_an_uninterrupted_one(
    tmp_path, monkeypatch, hub_cache, kind
):
    groot = kind == "groot"
    policy = tiny_groot(tmp_path / "groot", hub_cache) if groot else tiny_pi05(monkeypatch, hub_cache)
    config = replace(SHORT, policy=policy, lerobot=HERE if groot else LORA)
    dots = [TrainingData(write_dots(tmp_path / "dots"))]
    finetune(dots, tmp_path / "unbroken", tmp_path / "first", config, progress=False)
    with monkeypatch.context() as patch:
        patch.setenv(KILLED_IN, "4")
        with pytest.raises(
            RuntimeError, match=r"lerobot-train was ended by SIGKILL: .* the whole log is .*train-00000000\.log"
        ):
            finetune(dots, tmp_path / "resumed", tmp_path / "second", config, progress=False)
    assert not (tmp_path / "resumed").exists()
    (output,) = (tmp_path / "second").glob("*/output/checkpoints")
    half = output / "000003/pretrained_model"
    half.mkdir(parents=True)
    (half / "model.safetensors").write_bytes(b"broken off")
    finetune(dots, tmp_path / "resumed", tmp_path / "second", config, progress=False)
    assert contents(tmp_path / "resumed") == contents(tmp_path / "unbroken")
    assert not (tmp_path / "second").exists()

    record = json.loads((tmp_path / "unbroken/training.json").read_text())
    assert record["trainer"] == "lerobot" and [point["step"] for point in record["loss"]] == [1, 2, 3, 4]
    assert "train_config.json" not in contents(tmp_path / "unbroken")
    assert np.isfinite(chunk(tmp_path / "unbroken", {policy["type"]: groot})).all()


def test_retraining_joins_datasets_keeps_statistics_and_carries_the_latency(tmp_path, monkeypatch, hub_cache):
    config = replace(SHORT, policy=tiny_pi05(monkeypatch, hub_cache), lerobot=HERE, steps=2)
    before, three, two = tmp_path / "before", write_dots(tmp_path / "three"), write_dots(tmp_path / "two", episodes=2)
    finetune(
        [TrainingData(three)], before, tmp_path / "work", replace(config, trainer="ocrrl", lerobot=LerobotTraining())
    )
    latency = tmp_path / "latency.json"
    write_latency(latency, policy_kind(before), "cpu", 0.0, [0.1])
    chosen = [TrainingData(three, ["0.hdf5", "2.hdf5"]), TrainingData(two)]
    finetune(chosen, tmp_path / "vla", tmp_path / "work", config, before, progress=False, latency=latency)
    record = json.loads((tmp_path / "vla/training.json").read_text())
    assert (record["episodes"], record["frames"]) == (4, 80)
    assert (tmp_path / "vla/latency.json").read_bytes() == latency.read_bytes()
    old, new = contents(before), contents(tmp_path / "vla")
    statistics = [name for name in old if "normalizer_processor.safetensors" in name]
    assert statistics and all(old[name] == new[name] for name in statistics)
    assert np.abs(chunk(before) - chunk(tmp_path / "vla")).max() > 1e-6
