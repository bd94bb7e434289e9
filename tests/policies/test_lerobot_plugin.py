"""LeRobot and the path without it agree: on files, on actions, on training."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ocrrl.interface.actions import limit
from ocrrl.interface.observations import RobotState
from ocrrl.policies.checkpoint import load_vla
from ocrrl.policies.finetune import FinetuneConfig, finetune
from ocrrl.policies.lerobot_vla import check_features
from ocrrl.policies.training_data import TrainingData
from tests.policies.lerobot_dots import write_dots
from tests.policies.synthetic import INSTRUCTION, dot_frames


@pytest.fixture(scope="module")
def dots(tmp_path_factory) -> Path:
    return write_dots(tmp_path_factory.mktemp("lerobot") / "dots")


@pytest.fixture(scope="module")
def trained(dots) -> Path:
    config = FinetuneConfig(steps=3, batch_size=8)
    finetune([TrainingData(dots)], dots.with_name("vla"), dots.with_name("work"), config, progress=False)
    return dots.with_name("vla")


def open_with_lerobot(path: Path):
    from lerobot.configs import PreTrainedConfig
    from lerobot.policies import get_policy_class, make_pre_post_processors

    import ocrrl.policies.compact_vla  # noqa: F401  registers the policy

    config = PreTrainedConfig.from_pretrained(path)
    policy = get_policy_class(config.type).from_pretrained(path, config=config)
    return policy, *make_pre_post_processors(config, pretrained_path=str(path))


def observed(count: int):
    generator = np.random.default_rng(2)
    images = {camera: dot_frames(generator, count)[0] for camera in ("front", "wrist")}
    return images, RobotState.at_rest(generator.normal(0.0, 0.02, (count, 8)).astype(np.float32))


def as_lerobot_batch(images, robot):
    images = {
        f"observation.images.{camera}": torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous() / 255.0
        for camera, frames in images.items()
    }
    state = robot.proprioception()
    return images | {"observation.state": torch.from_numpy(state), "task": [INSTRUCTION] * len(state)}


def test_lerobots_own_loader_gives_the_same_chunk_as_ours(trained):
    policy, preprocessor, postprocessor = open_with_lerobot(trained)
    images, robot = observed(3)
    theirs = postprocessor(policy.predict_action_chunk(preprocessor(as_lerobot_batch(images, robot))))
    ours = load_vla(trained).predict_chunk(images, robot, INSTRUCTION)
    assert np.array_equal(limit(theirs).numpy(), ours)


def test_images_of_another_camera_or_size_are_named(trained):
    policy, preprocessor, _ = open_with_lerobot(trained)
    batch = preprocessor(as_lerobot_batch(*observed(2)))
    front = batch.pop("observation.images.front")
    with pytest.raises(ValueError, match=r"images\.front must have shape \(batch, 3, 32, 32\), .*, got none"):
        policy.predict_action_chunk(batch)
    larger = batch | {"observation.images.front": front.repeat(1, 1, 2, 2)}
    with pytest.raises(ValueError, match=r"images\.front must have shape .*, got \(2, 3, 64, 64\)"):
        policy.predict_action_chunk(larger)


def test_select_action_serves_the_chunk_one_by_one(trained):
    policy, preprocessor, _ = open_with_lerobot(trained)
    batch = preprocessor(as_lerobot_batch(*observed(2)))
    chunk = policy.predict_action_chunk(batch)
    policy.reset()
    for step in range(17):
        assert torch.equal(policy.select_action(batch), chunk[:, step % policy.config.n_action_steps])


def test_our_files_are_those_lerobot_writes(trained, tmp_path):
    policy, preprocessor, postprocessor = open_with_lerobot(trained)
    for part in (policy, preprocessor, postprocessor):
        part.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} | {"training.json"} == {path.name for path in trained.iterdir()}
    for path in tmp_path.iterdir():
        ours = trained / path.name
        if path.suffix == ".json" and path.name != "config.json":
            assert json.loads(path.read_text()) == json.loads(ours.read_text())
        elif "processor" in path.name:
            assert path.read_bytes() == ours.read_bytes()
    theirs = json.loads((tmp_path / "config.json").read_text())
    assert json.loads((trained / "config.json").read_text()).items() <= theirs.items()


def test_a_checkpoint_that_lerobot_wrote_opens_in_ours(trained, tmp_path):
    for part in open_with_lerobot(trained):
        part.save_pretrained(tmp_path)
    images, robot = observed(2)
    ours, theirs = (load_vla(path).predict_chunk(images, robot, INSTRUCTION) for path in (trained, tmp_path))
    assert np.array_equal(ours, theirs)


def test_an_act_policy_fits_the_same_slot(dots, tmp_path):
    act = {
        "type": "act",
        "chunk_size": 16,
        "n_action_steps": 16,
        "pretrained_backbone_weights": None,
        "dim_model": 32,
        "n_heads": 2,
        "dim_feedforward": 32,
        "n_encoder_layers": 1,
        "n_vae_encoder_layers": "1",
        "dropout": "1e-1",  # YAML reads both as text
    }
    config = FinetuneConfig(policy=act, steps=2, batch_size=2, learning_rate=1e-4)
    finetune([TrainingData(dots)], tmp_path / "act", tmp_path / "work", config, progress=False)
    vla = load_vla(tmp_path / "act")
    assert json.loads((tmp_path / "act" / "config.json").read_text())["dropout"] == 0.1
    assert vla.predict_chunk(*observed(2), INSTRUCTION).shape == (2, 16, 7)
    with pytest.raises(ValueError, match="images must hold the cameras front, wrist, got side"):
        vla.predict_chunk({"side": observed(1)[0]["front"]}, RobotState.at_rest(np.zeros((1, 8))), INSTRUCTION)


def test_a_policy_that_cannot_drive_this_robot_is_refused_with_every_reason():
    from lerobot.configs import FeatureType, PolicyFeature
    from lerobot.policies import VQBeTConfig

    config = VQBeTConfig(
        device="cpu",
        input_features={"observation.state": PolicyFeature(FeatureType.STATE, (6,))},
        output_features={"action": PolicyFeature(FeatureType.ACTION, (6,))},
    )
    with pytest.raises(ValueError, match="policy vqbet must have") as refused:
        check_features(config)
    for reason in (
        "at least one camera observation.images.*, got none",
        "observation.state of shape (8,), got (6,)",
        "action of shape (7,), got (6,)",
        "n_obs_steps 1, got 5",
        "a chunk_size, got none",
    ):
        assert reason in str(refused.value)


def test_an_unknown_policy_type_or_field_is_refused(dots, tmp_path):
    with pytest.raises(ValueError, match=r"policy\.type must be one of act, .*compact_vla.*, got 'gpt'"):
        finetune(
            [TrainingData(dots)],
            tmp_path / "vla",
            tmp_path / "work",
            FinetuneConfig(policy={"type": "gpt"}),
            progress=False,
        )
    for field, value, message in (
        ("layers", 3, r"policy of type act must set only .*chunk_size.*, got layers"),
        ("dropout", "much", r"policy\.dropout must be a number, got 'much'"),
        ("chunk_size", 1.5, r"policy\.chunk_size must be a whole number, got 1.5"),
        ("use_vae", "yes", r"policy\.use_vae must be true or false, got 'yes'"),
        (
            "normalization_mapping",
            {"STATE": "X"},
            r"policy\.normalization_mapping\.STATE must be one of .*MEAN_STD.*, got",
        ),
    ):
        wrong = FinetuneConfig(policy={"type": "act", field: value})
        with pytest.raises(ValueError, match=message):
            finetune([TrainingData(dots)], tmp_path / "vla", tmp_path / "work", wrong, progress=False)


@pytest.mark.slow
def test_lerobot_train_trains_the_default_vla(dots, tmp_path):
    command = [
        Path(sys.executable).with_name("lerobot-train"),
        "--policy.discover_packages_path=ocrrl.policies.compact_vla",
        "--policy.type=compact_vla",
        "--policy.device=cpu",
        "--policy.push_to_hub=false",
        "--dataset.repo_id=ocrrl/dots",
        f"--dataset.root={dots}",
        f"--output_dir={tmp_path / 'out'}",
        "--steps=4",
        "--save_freq=4",
        "--batch_size=4",
        "--num_workers=0",
    ]
    subprocess.run(
        command, check=True, capture_output=True, env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    )
    vla = load_vla(tmp_path / "out/checkpoints/last/pretrained_model")
    assert vla.predict_chunk(*observed(2), INSTRUCTION).shape == (2, 16, 7)
