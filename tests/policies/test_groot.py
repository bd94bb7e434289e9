"""A tiny GR00T N1.7 with random weights, from a base model's folder."""

import shutil

import numpy as np
import pytest

from ocrrl.cli import main
from ocrrl.interface.observations import RobotState
from ocrrl.policies.checkpoint import load_vla
from ocrrl.policies.finetune import FinetuneConfig, finetune
from ocrrl.policies.training_data import TrainingData
from tests.policies.hub_cache import cached_repository
from tests.policies.lerobot_dots import write_dots
from tests.policies.synthetic import INSTRUCTION, dot_frames
from tests.policies.tiny_groot import BACKBONE, tiny_groot

pytest.importorskip("diffusers")
ALLOWED = {"groot": True}


@pytest.fixture
def config(tmp_path, hub_cache):
    return FinetuneConfig(
        policy=tiny_groot(tmp_path / "groot", hub_cache), steps=2, batch_size=4, learning_rate=1e-3, device="cpu"
    )


def trained(folder, config):
    finetune([TrainingData(write_dots(folder / "dots"))], folder / "vla", folder / "work", config, progress=False)
    return folder / "vla"


def observed(count):
    images, _ = dot_frames(np.random.default_rng(0), count)
    state = np.random.default_rng(1).normal(0.0, 0.02, (count, 8)).astype(np.float32)
    return {"front": images, "wrist": images}, RobotState.at_rest(state)


def test_what_was_trained_and_saved_acts_and_equal_robots_get_equal_chunks(tmp_path, config, capsys):
    vla, (images, state) = load_vla(trained(tmp_path, config), "cpu", ALLOWED), observed(3)
    assert (vla.chunk_size, vla.n_action_steps) == (16, 8)
    rows = [2, 0, 0, 1]
    together = vla.predict_chunk({name: frames[rows] for name, frames in images.items()}, state.take(rows), INSTRUCTION)
    alone = vla.predict_chunk({name: frames[2:] for name, frames in images.items()}, state.take([2]), INSTRUCTION)
    assert together.shape == (4, 16, 7), "LeRobot's answer would end after n_action_steps"
    np.testing.assert_array_equal(together[1], together[2])
    np.testing.assert_allclose(together[0], alone[0], atol=1e-6)
    assert not np.allclose(together[0], together[1], atol=1e-4)
    command = ["measure-latency", str(tmp_path / "vla"), "--out", str(tmp_path / "latency.json"), "--device", "cpu"]
    assert main([*command, "--requests", "20"]) == 1 and not (tmp_path / "latency.json").exists()
    assert "allow-remote-code" in capsys.readouterr().err
    assert main([*command, "--requests", "20", "--allow-remote-code"]) == 0 and (tmp_path / "latency.json").exists()


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("base model", r"base_model_path must name a folder that is there.*put the folder back"),
        (
            "tokenizer",
            r"tokenizer and image processor nvidia/Cosmos-Reason2-2B.*put the folder there or into the hub's cache",
        ),
    ],
)
def test_a_model_whose_base_or_tokenizer_is_gone_is_named_with_the_next_step(
    tmp_path, config, hub_cache, gone, message
):
    vla = trained(tmp_path, config)
    shutil.rmtree(tmp_path / "groot/base" if gone == "base model" else cached_repository(hub_cache, BACKBONE))
    with pytest.raises(ValueError, match=message):
        load_vla(vla, "cpu", ALLOWED)
    with pytest.raises(ValueError, match=message):
        finetune([TrainingData(tmp_path / "dots")], tmp_path / "other", tmp_path / "work", config, progress=False)
