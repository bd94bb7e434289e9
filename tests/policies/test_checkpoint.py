import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from ocrrl.interface.actions import MAX_TRANSLATION_STEP
from ocrrl.interface.observations import RobotState
from ocrrl.policies.checkpoint import load_vla
from ocrrl.policies.compact_architecture import CompactArchitecture
from ocrrl.policies.compact_checkpoint import CompactCheckpoint, load_compact, save_compact
from ocrrl.policies.compact_network import CompactNetwork
from ocrrl.policies.language import HASH, InstructionEncoder
from ocrrl.policies.normalisation import Normalisation


def checkpoint(cameras=("front", "wrist")) -> CompactCheckpoint:
    torch.manual_seed(0)
    generator = np.random.default_rng(0)
    encoder = InstructionEncoder(HASH)
    encoder.embed("lift it")
    return CompactCheckpoint(
        CompactNetwork(CompactArchitecture(dict.fromkeys(cameras, (32, 48)), chunk_size=4)),
        Normalisation.of(
            generator.normal(size=(20, 8)).astype(np.float32), 0.1 * generator.normal(size=(20, 7)).astype(np.float32)
        ),
        encoder,
    )


def observed(n: int, height: int = 32) -> tuple[dict[str, np.ndarray], RobotState]:
    generator = np.random.default_rng(1)
    images = {
        camera: generator.integers(0, 256, (n, height, 48, 3)).astype(np.uint8) for camera in ("front", "wrist", "side")
    }
    return images, RobotState.at_rest(generator.normal(size=(n, 8)).astype(np.float32))


def test_what_was_saved_is_what_is_loaded(tmp_path):
    made = checkpoint()
    save_compact(tmp_path / "one", made)
    loaded = load_compact(tmp_path / "one")
    save_compact(tmp_path / "two", loaded)
    assert loaded.encoder.encoder == HASH and list(loaded.encoder.known) == ["lift it"]
    names = {path.name for path in (tmp_path / "one").iterdir()}
    assert {"config.json", "model.safetensors", "policy_preprocessor.json", "policy_postprocessor.json"} <= names
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_a_vla_answers_each_robot_of_a_batch_with_a_chunk_within_the_limits(tmp_path):
    save_compact(tmp_path, checkpoint())
    vla = load_vla(tmp_path)
    images, robot = observed(5)
    chunk = vla.predict_chunk(images, robot, "lift it")
    assert vla.chunk_size == 4 and chunk.shape == (5, 4, 7) and chunk.dtype == np.float32
    assert (
        np.abs(chunk[..., :3]).max() <= MAX_TRANSLATION_STEP
        and (chunk[..., 6] >= 0).all()
        and (chunk[..., 6] <= 1).all()
    )
    for i in range(5):
        alone = vla.predict_chunk(
            {name: frames[i : i + 1] for name, frames in images.items()}, robot.take(np.array([i])), "lift it"
        )
        assert np.allclose(alone[0], chunk[i], atol=1e-6)


def test_loading_and_acting_leave_lerobot_unloaded(tmp_path):
    save_compact(tmp_path, checkpoint())
    program = (
        "import sys, numpy as np; from pathlib import Path; from ocrrl.policies.checkpoint import load_vla\n"
        "import ocrrl.policies.finetune\nfrom ocrrl.interface.observations import RobotState\n"
        f"vla = load_vla(Path({str(tmp_path)!r})); image = np.zeros((1, 32, 48, 3), np.uint8)\n"
        "vla.predict_chunk({'front': image, 'wrist': image}, RobotState.at_rest(np.zeros((1, 8))), 'lift it')\n"
        "others = ('lerobot', 'transformers', 'sentence_transformers', 'zmq', 'websockets', 'msgpack')\n"
        "print([name for name in others if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_camera_or_another_image_size_is_refused(tmp_path):
    save_compact(tmp_path, checkpoint())
    vla = load_vla(tmp_path)
    images, robot = observed(2)
    with pytest.raises(ValueError, match="images must hold the cameras front, wrist, got front, side"):
        vla.predict_chunk({name: images[name] for name in ("front", "side")}, robot, "lift it")
    with pytest.raises(
        ValueError, match=r"images of camera front must have shape \(n, \*\(32, 48, 3\)\), got \(2, 40, 48, 3\)"
    ):
        vla.predict_chunk(observed(2, height=40)[0], robot, "lift it")


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"must be a LeRobot pretrained_model folder with a config\.json"):
        load_vla(tmp_path)


def test_a_checkpoint_without_its_instruction_step_is_refused(tmp_path):
    save_compact(tmp_path, checkpoint())
    path = tmp_path / "policy_preprocessor.json"
    pipeline = json.loads(path.read_text())
    del pipeline["steps"][2]
    path.write_text(json.dumps(pipeline))
    with pytest.raises(ValueError, match="must have a step compact_vla_instruction, got rename_observations_processor"):
        load_vla(tmp_path)
