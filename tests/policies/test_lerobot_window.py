"""LeRobot's Diffusion Policy, which takes a window of observations and has a `horizon`, in the slot of any VLA."""

import json

import numpy as np
import pytest

from ocrrl.interface.observations import RobotState
from ocrrl.policies.checkpoint import load_vla
from ocrrl.policies.chunk_delay import ChunkDelay
from ocrrl.policies.chunked_policy import ChunkedPolicy
from ocrrl.policies.finetune import FinetuneConfig, finetune
from ocrrl.policies.latency_file import policy_kind, write_latency
from ocrrl.policies.training_data import TrainingData
from tests.policies.lerobot_dots import write_dots
from tests.policies.synthetic import INSTRUCTION, dot_frames

pytest.importorskip("diffusers")

DIFFUSION = {
    "type": "diffusion", "n_obs_steps": 1, "horizon": 8, "n_action_steps": 4, "pretrained_backbone_weights": None,
    "use_group_norm": True, "use_separate_rgb_encoder_per_camera": False, "down_dims": [16, 32], "diffusion_step_embed_dim": 16,
    "noise_scheduler_type": "DDIM", "num_inference_steps": 2, "prediction_type": "sample", "clip_sample": False,
    "normalization_mapping": {"VISUAL": "MEAN_STD", "STATE": "MEAN_STD", "ACTION": "MEAN_STD"},
}  # fmt: skip


@pytest.fixture(scope="module")
def dots(tmp_path_factory):
    return write_dots(tmp_path_factory.mktemp("dots") / "data")


def train(dots, out, init_from=None, **changes):
    config = FinetuneConfig(policy=DIFFUSION | changes, steps=2, batch_size=2, learning_rate=1e-3, device="cpu")
    finetune([TrainingData(dots)], out, out.with_name("work"), config, init_from, progress=False)
    return out


@pytest.fixture(scope="module")
def trained(dots, tmp_path_factory):
    return train(dots, tmp_path_factory.mktemp("vla") / "first")


def observed(count):
    """Robots apart from each other, as a backbone makes a single cell of 32 x 32 pixels, which says nothing of them."""
    images, _ = dot_frames(np.random.default_rng(0), count)
    pose = np.tile([0.5, 0.0, 0.1, 0.0, 1.0, 0.0, 0.0, 0.04], (count, 1)).astype(np.float32)
    pose[:, 1] = 0.02 * np.arange(count)
    return {"front": images, "wrist": images}, RobotState.at_rest(pose)


def test_the_same_seed_trains_the_same_bytes(dots, trained, tmp_path):
    again = train(dots, tmp_path / "again")
    assert (again / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


def test_training_goes_on_from_a_checkpoint(dots, trained, tmp_path):
    further = load_vla(train(dots, tmp_path / "further", trained), "cpu").predict_chunk(*observed(2), INSTRUCTION)
    first = load_vla(trained, "cpu").predict_chunk(*observed(2), INSTRUCTION)
    assert np.isfinite(further).all() and 1e-6 < np.abs(further - first).max() < 0.5


def test_a_chunk_is_its_horizon_of_which_n_action_steps_are_acted(trained):
    vla = load_vla(trained, "cpu")
    assert (vla.chunk_size, vla.n_action_steps) == (8, 4)
    chunk = vla.predict_chunk(*observed(2), INSTRUCTION)
    assert chunk.shape == (2, 8, 7) and np.isfinite(chunk).all()
    late = ChunkedPolicy(vla, INSTRUCTION, num_envs=2, delay=ChunkDelay((0.0,) * 4 + (1.0,)))
    assert late.replan_every == 4 and late.largest_delay == 4
    assert json.loads((trained / "config.json").read_text())["n_action_steps"] == 4


def test_a_robot_s_chunk_does_not_depend_on_the_others_of_its_batch(trained):
    vla = load_vla(trained, "cpu")
    images, robot = observed(3)
    together = vla.predict_chunk(images, robot, INSTRUCTION)
    assert np.array_equal(together, vla.predict_chunk(images, robot, INSTRUCTION))
    alone = {camera: frames[:1] for camera, frames in images.items()}
    np.testing.assert_allclose(vla.predict_chunk(alone, observed(1)[1], INSTRUCTION)[0], together[0], atol=1e-6)
    assert np.abs(together[0] - together[1]).max() > 1e-5


def test_our_slot_gives_the_actions_of_lerobot_s_own(trained):
    import torch
    from lerobot.configs import PreTrainedConfig
    from lerobot.policies import get_policy_class, make_pre_post_processors

    images, robot = observed(1)
    config = PreTrainedConfig.from_pretrained(trained)
    policy = get_policy_class("diffusion").from_pretrained(trained, config=config).eval()
    before, after = make_pre_post_processors(config, pretrained_path=str(trained))
    frame = {
        f"observation.images.{name}": torch.from_numpy(image[0]).movedim(-1, 0) / 255 for name, image in images.items()
    }
    frame["observation.state"] = torch.from_numpy(robot.proprioception()[0])
    torch.manual_seed(0)
    theirs = [after(policy.select_action(before(dict(frame)))).numpy()[0] for _ in range(4)]
    ours = load_vla(trained, "cpu").predict_chunk(images, robot, INSTRUCTION)[0, :4]
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_its_latency_is_that_of_a_chunk_of_its_horizon(dots, trained, tmp_path):
    kind = policy_kind(trained)
    assert kind == {"type": "diffusion", "chunk_size": 8, "images": {"front": [32, 32], "wrist": [32, 32]}}
    write_latency(tmp_path / "slow.json", kind, "cpu", 0.0, [0.3])
    config = FinetuneConfig(policy=DIFFUSION, steps=1, batch_size=2, device="cpu")
    with pytest.raises(
        ValueError, match=r"a chunk of 8 actions, asked for every 4 steps, lasts for a delay of at most 4"
    ):
        finetune([TrainingData(dots)], tmp_path / "vla", tmp_path / "work", config, latency=tmp_path / "slow.json")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chunk_size": 16}, r"policy of type diffusion must set only .*horizon.*, got chunk_size"),
        ({"n_obs_steps": 2}, r"policy diffusion must have n_obs_steps 1, got 2"),
        ({"n_action_steps": 9}, r"policy diffusion must have n_action_steps in \[1, 8\], its horizon, got 9"),
        ({"horizon": 10}, r"policy of type diffusion: The horizon should be an integer multiple .* self\.horizon=10"),
        ({"down_dims": "wide"}, r"policy\.down_dims must be .*, got 'wide'"),
    ],
)
def test_fields_that_do_not_fit_are_named(dots, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        train(dots, tmp_path / "vla", **changes)
    assert not (tmp_path / "vla").exists()
