"""A compact VLA on disk, in LeRobot's `pretrained_model/` layout, read and written without importing LeRobot.

LeRobot takes ten seconds to import; the files are few and plain: `config.json`, `model.safetensors`, and for each of
`policy_preprocessor` and `policy_postprocessor` a JSON list of steps with a safetensors file per step that has state.
A test holds them to what LeRobot itself writes.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from ocrrl import files
from ocrrl.interface.actions import ACTION_DIM
from ocrrl.interface.observations import PROPRIOCEPTION_DIM
from ocrrl.policies.compact_network import CompactArchitecture, CompactNetwork
from ocrrl.policies.language import InstructionEncoder
from ocrrl.policies.normalisation import EPSILON, Normalisation

POLICY_TYPE = "compact_vla"
INSTRUCTION_STEP = "compact_vla_instruction"
IMAGE_PREFIX = "observation.images."
STATE_KEY = "observation.state"
ACTION_KEY = "action"
_SIZES = ("chunk_size", "n_action_steps", "channels", "keypoints", "camera_features", "hidden")
_NORMALISATION_MODES = {"VISUAL": "IDENTITY", "STATE": "MEAN_STD", "ACTION": "MEAN_STD"}


@dataclass
class CompactCheckpoint:
    """Everything a compact VLA needs to act, and to be trained further."""

    network: CompactNetwork
    normalisation: Normalisation
    encoder: InstructionEncoder


def save_compact(folder: Path, checkpoint: CompactCheckpoint) -> None:
    """Write `checkpoint` into `folder`: the same bytes for the same weights, statistics and instructions."""
    folder.mkdir(parents=True, exist_ok=True)
    architecture = checkpoint.network.architecture
    weights = {f"model.{name}": value.contiguous() for name, value in checkpoint.network.state_dict().items()}
    files.write_json(folder / "config.json", _config(architecture))
    files.write_bytes(folder / "model.safetensors", safetensors.torch.save(weights, metadata={"format": "pt"}))

    features = _features(architecture)
    normaliser = {"eps": EPSILON, "features": features, "norm_map": _NORMALISATION_MODES}
    statistics = _statistics(checkpoint.normalisation)
    known = checkpoint.encoder.known
    instruction = {"encoder": checkpoint.encoder.encoder, "instructions": list(known)}
    embeddings = {"embeddings": torch.from_numpy(np.stack(list(known.values())))} if known else {}
    device = {"device": "cpu", "float_dtype": None}
    _save_pipeline(
        folder,
        "policy_preprocessor",
        [
            ("rename_observations_processor", {"rename_map": {}}, {}),
            ("to_batch_processor", {}, {}),
            (INSTRUCTION_STEP, instruction, embeddings),
            ("device_processor", device, {}),
            ("normalizer_processor", normaliser, statistics),
        ],
    )
    unnormaliser = normaliser | {"features": {ACTION_KEY: features[ACTION_KEY]}}
    _save_pipeline(
        folder,
        "policy_postprocessor",
        [("unnormalizer_processor", unnormaliser, statistics), ("device_processor", device, {})],
    )


def load_compact(folder: Path) -> CompactCheckpoint:
    """The compact VLA in `folder`, written by `save_compact`, by LeRobot or by `lerobot-train`.

    Raises ValueError if the files do not describe one.
    """
    config = json.loads((folder / "config.json").read_text())
    architecture = architecture_of(config["input_features"], config)
    network = CompactNetwork(architecture)
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    network.load_state_dict({name.removeprefix("model."): value for name, value in weights.items()})

    _, statistics = _load_step(folder, "policy_preprocessor", "normalizer_processor")
    values = {name: value.numpy() for name, value in statistics.items()}
    normalisation = Normalisation(
        state_mean=values[f"{STATE_KEY}.mean"],
        state_std=values[f"{STATE_KEY}.std"],
        action_mean=values[f"{ACTION_KEY}.mean"],
        action_std=values[f"{ACTION_KEY}.std"],
    )
    settings, state = _load_step(folder, "policy_preprocessor", INSTRUCTION_STEP)
    instructions = settings["instructions"]
    embeddings = state["embeddings"].numpy() if instructions else ()
    encoder = InstructionEncoder(settings["encoder"], dict(zip(instructions, embeddings, strict=True)))
    return CompactCheckpoint(network.eval(), normalisation, encoder)


def architecture_of(input_features: Mapping[str, Mapping], sizes: Mapping[str, Any]) -> CompactArchitecture:
    """The architecture for LeRobot `input_features` (`{key: {"type", "shape"}}`); `sizes` gives those fields it names.

    Raises ValueError unless there is at least one camera, all of one size, and a state of 8 numbers.
    """
    shapes = {
        key.removeprefix(IMAGE_PREFIX): tuple(feature["shape"])
        for key, feature in input_features.items()
        if key.startswith(IMAGE_PREFIX)
    }
    if len(set(shapes.values())) != 1:
        raise ValueError(f"{IMAGE_PREFIX}* must be at least one camera, all of one size, got {shapes}")
    state = input_features.get(STATE_KEY)
    if state is None or tuple(state["shape"]) != (PROPRIOCEPTION_DIM,):
        raise ValueError(f"{STATE_KEY} must have shape ({PROPRIOCEPTION_DIM},), got {state and tuple(state['shape'])}")
    return CompactArchitecture(
        cameras=tuple(shapes),
        image_size=next(iter(shapes.values()))[1:],
        **{name: sizes[name] for name in _SIZES if name in sizes},
    )


def _features(architecture: CompactArchitecture) -> dict[str, dict]:
    return {
        **{IMAGE_PREFIX + c: {"type": "VISUAL", "shape": [3, *architecture.image_size]} for c in architecture.cameras},
        STATE_KEY: {"type": "STATE", "shape": [PROPRIOCEPTION_DIM]},
        ACTION_KEY: {"type": "ACTION", "shape": [ACTION_DIM]},
    }


def _config(architecture: CompactArchitecture) -> dict:
    features = _features(architecture)
    sizes = {name: value for name, value in asdict(architecture).items() if name in _SIZES}
    return {
        "type": POLICY_TYPE,
        "input_features": {key: value for key, value in features.items() if key != ACTION_KEY},
        "output_features": {ACTION_KEY: features[ACTION_KEY]},
        "normalization_mapping": _NORMALISATION_MODES,
        "device": "cpu",
        "push_to_hub": False,
        **sizes,
    }


def _statistics(normalisation: Normalisation) -> dict[str, torch.Tensor]:
    return {
        f"{STATE_KEY}.mean": torch.from_numpy(normalisation.state_mean),
        f"{STATE_KEY}.std": torch.from_numpy(normalisation.state_std),
        f"{ACTION_KEY}.mean": torch.from_numpy(normalisation.action_mean),
        f"{ACTION_KEY}.std": torch.from_numpy(normalisation.action_std),
    }


def _save_pipeline(folder: Path, name: str, steps: list[tuple[str, dict, dict[str, torch.Tensor]]]) -> None:
    entries = []
    for index, (step, config, state) in enumerate(steps):
        entry = {"registry_name": step, "config": config}
        if state:
            entry["state_file"] = f"{name}_step_{index}_{step}.safetensors"
            files.write_bytes(folder / entry["state_file"], safetensors.torch.save(state))
        entries.append(entry)
    files.write_json(folder / f"{name}.json", {"name": name, "steps": entries})


def _load_step(folder: Path, pipeline: str, step: str) -> tuple[dict, dict[str, torch.Tensor]]:
    """A step's settings and its tensors; ValueError if the pipeline lacks it."""
    steps = json.loads((folder / f"{pipeline}.json").read_text())["steps"]
    for entry in steps:
        if entry.get("registry_name") == step:
            state = safetensors.torch.load_file(folder / entry["state_file"]) if "state_file" in entry else {}
            return entry["config"], state
    names = ", ".join(str(entry.get("registry_name")) for entry in steps)
    raise ValueError(f"{folder / pipeline}.json must have a step {step}, got {names}")
