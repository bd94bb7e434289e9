"""Reads and writes a compact VLA in LeRobot's `pretrained_model/` layout, without importing LeRobot.

LeRobot takes ten seconds to import; the files are few and plain: `config.json`, `model.safetensors`, and for each of
`policy_preprocessor` and `policy_postprocessor` a JSON list of steps with a safetensors file per step that has state.
A test holds them to what LeRobot itself writes.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import safetensors.torch
import torch

from ocrrl import files
from ocrrl.interface.actions import ACTION_DIM
from ocrrl.interface.json_file import read_json_object, said
from ocrrl.interface.lerobot_keys import ACTION_KEY, IMAGE_PREFIX, STATE_KEY
from ocrrl.interface.model_folder import require_model_folder
from ocrrl.interface.observations import PROPRIOCEPTION_DIM
from ocrrl.interface.weights_file import read_weights_file
from ocrrl.policies.compact_architecture import CompactArchitecture
from ocrrl.policies.compact_network import CompactNetwork, tensor_shapes
from ocrrl.policies.language import EMBEDDING_DIM, ENCODERS, InstructionEncoder
from ocrrl.policies.normalisation import EPSILON, Normalisation
from ocrrl.policies.policy_type import COMPACT
from ocrrl.policies.saved_pipeline import POSTPROCESSOR, PREPROCESSOR, SavedStep, read_pipeline

INSTRUCTION_STEP = "compact_vla_instruction"
_SIZES = ("chunk_size", "n_action_steps", "channels", "keypoints", "camera_features", "hidden")
_CONFIG_FIELDS = (
    *("type", "input_features", "output_features", "normalization_mapping", "n_obs_steps", "device", "use_amp"),
    *("use_peft", "push_to_hub", "repo_id", "private", "tags", "license", "pretrained_path", "pretrained_revision"),
    *_SIZES,
    *("image_shift", "language", "optimizer_lr", "optimizer_weight_decay"),
)
"""Fields of `CompactVLAConfig`, LeRobot's common ones among them; a test holds them to it."""
_STEPS = {
    "rename_observations_processor": ("rename_map",),
    "to_batch_processor": (),
    INSTRUCTION_STEP: ("encoder", "instructions"),
    "device_processor": ("device", "float_dtype"),
    "normalizer_processor": ("eps", "features", "norm_map", "normalize_observation_keys"),
    "unnormalizer_processor": ("eps", "features", "norm_map"),
}
"""The steps of a compact VLA's pipelines, each with its settings."""
_STATISTICS: tuple[str, ...] = (f"{STATE_KEY}.mean", f"{STATE_KEY}.std", f"{ACTION_KEY}.mean", f"{ACTION_KEY}.std")
"""In the order of `Normalisation`."""
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

    Raises FileNotFoundError or ValueError naming the file and the field that does not describe one, before any weight is read.
    """
    require_model_folder(folder)
    config = _read_config(folder / "config.json")
    architecture = _architecture_in(folder / "config.json", config)
    weights = read_weights_file(folder / "model.safetensors")
    weights.require({f"model.{name}": shape for name, shape in tensor_shapes(architecture).items()}, "config.json")
    weights.require_finite()
    steps = {step.name: step for step in read_pipeline(folder, PREPROCESSOR, _STEPS)}
    last = {step.name: step for step in read_pipeline(folder, POSTPROCESSOR, _STEPS)}
    described = _features(architecture)
    normalisation = _read_normalisation(_step(steps, folder, PREPROCESSOR, "normalizer_processor"), described)
    described = {ACTION_KEY: described[ACTION_KEY]}
    undone = _read_normalisation(_step(last, folder, POSTPROCESSOR, "unnormalizer_processor"), described)
    for name in ("action_mean", "action_std"):
        if not np.array_equal(getattr(undone, name), getattr(normalisation, name)):
            raise ValueError(f"{folder / POSTPROCESSOR}.json must have the {name} of {PREPROCESSOR}.json, got another")
    renamed = steps["rename_observations_processor"].config if "rename_observations_processor" in steps else {}
    if renamed.get("rename_map", {}) != {}:
        where = steps["rename_observations_processor"].where
        raise ValueError(
            f"{where}.config.rename_map must be {{}}, got {said(renamed['rename_map'])}: give cameras their names"
        )
    encoder = _read_encoder(_step(steps, folder, PREPROCESSOR, INSTRUCTION_STEP))

    network = CompactNetwork(architecture)
    stored = safetensors.torch.load_file(weights.path)
    network.load_state_dict({name.removeprefix("model."): value for name, value in stored.items()})
    return CompactCheckpoint(network.eval(), normalisation, encoder)


def architecture_of(input_features: Mapping[str, Mapping], sizes: Mapping[str, Any]) -> CompactArchitecture:
    """The architecture for LeRobot `input_features` (`{key: {"type", "shape"}}`); `sizes` gives those fields it names.

    Raises ValueError unless there is at least one camera, and a state of 8 numbers.
    """
    shapes = {
        key.removeprefix(IMAGE_PREFIX): tuple(feature["shape"])
        for key, feature in input_features.items()
        if key.startswith(IMAGE_PREFIX)
    }
    if not shapes:
        raise ValueError(f"{IMAGE_PREFIX}* must be at least one camera, got none")
    state = input_features.get(STATE_KEY)
    if state is None or tuple(state["shape"]) != (PROPRIOCEPTION_DIM,):
        raise ValueError(f"{STATE_KEY} must have shape ({PROPRIOCEPTION_DIM},), got {state and tuple(state['shape'])}")
    return CompactArchitecture(
        cameras={camera: (shape[1], shape[2]) for camera, shape in shapes.items()},
        **{name: sizes[name] for name in _SIZES if name in sizes},
    )


def _features(architecture: CompactArchitecture) -> dict[str, dict]:
    return {
        **{IMAGE_PREFIX + c: {"type": "VISUAL", "shape": [3, *size]} for c, size in architecture.cameras.items()},
        STATE_KEY: {"type": "STATE", "shape": [PROPRIOCEPTION_DIM]},
        ACTION_KEY: {"type": "ACTION", "shape": [ACTION_DIM]},
    }


def _config(architecture: CompactArchitecture) -> dict:
    features = _features(architecture)
    sizes = {name: value for name, value in asdict(architecture).items() if name in _SIZES}
    return {
        "type": COMPACT,
        "input_features": {key: value for key, value in features.items() if key != ACTION_KEY},
        "output_features": {ACTION_KEY: features[ACTION_KEY]},
        "normalization_mapping": _NORMALISATION_MODES,
        "device": "cpu",
        "push_to_hub": False,
        **sizes,
    }


def _statistics(normalisation: Normalisation) -> dict[str, torch.Tensor]:
    return dict(zip(_STATISTICS, normalisation.tensors("cpu"), strict=True))


def _save_pipeline(folder: Path, name: str, steps: list[tuple[str, dict, dict[str, torch.Tensor]]]) -> None:
    entries = []
    for index, (step, config, state) in enumerate(steps):
        entry = {"registry_name": step, "config": config}
        if state:
            entry["state_file"] = f"{name}_step_{index}_{step}.safetensors"
            files.write_bytes(folder / entry["state_file"], safetensors.torch.save(state))
        entries.append(entry)
    files.write_json(folder / f"{name}.json", {"name": name, "steps": entries})


def _read_config(path: Path) -> dict[str, Any]:
    config = read_json_object(path)
    if config.get("type") != COMPACT:
        raise ValueError(f"{path}: type must be {COMPACT}, got {said(config.get('type'))}")
    if unknown := sorted(set(config) - set(_CONFIG_FIELDS)):
        raise ValueError(f"{path} must hold only {', '.join(_CONFIG_FIELDS)}, got {unknown[0]}")
    for name, value in (("normalization_mapping", _NORMALISATION_MODES), ("n_obs_steps", 1), ("use_peft", False)):
        if config.get(name, value) != value:
            raise ValueError(f"{path}: {name} must be {value}, got {said(config[name])}")
    for name, kinds in (("device", (str, type(None))), ("push_to_hub", (bool,)), ("use_amp", (bool,))):
        if name in config and not isinstance(config[name], kinds):
            raise ValueError(
                f"{path}: {name} must be {' or '.join(k.__name__ for k in kinds)}, got {said(config[name])}"
            )
    action = config.get("output_features")
    if action != {ACTION_KEY: {"type": "ACTION", "shape": [ACTION_DIM]}}:
        raise ValueError(f"{path}: output_features must be {ACTION_KEY} of shape [{ACTION_DIM}], got {said(action)}")
    return config


def _architecture_in(path: Path, config: dict[str, Any]) -> CompactArchitecture:
    features = config.get("input_features")
    if not isinstance(features, dict):
        raise ValueError(f"{path}: input_features must map features to their shapes, got {said(features)}")
    for key, feature in features.items():
        kind = "VISUAL" if key.startswith(IMAGE_PREFIX) else "STATE" if key == STATE_KEY else None
        if kind is None:
            raise ValueError(f"{path}: input_features must be {STATE_KEY} and {IMAGE_PREFIX}*, got {key}")
        shape = feature.get("shape") if isinstance(feature, dict) else None
        if not isinstance(shape, list) or not all(type(size) is int for size in shape) or feature.get("type") != kind:
            raise ValueError(f"{path}: input_features.{key} must have type {kind} and a shape, got {said(feature)}")
        if kind == "VISUAL" and (len(shape) != 3 or shape[0] != 3):
            raise ValueError(f"{path}: input_features.{key}.shape must be [3, height, width], got {shape}")
    try:
        return architecture_of(features, config)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _step(steps: Mapping[str, SavedStep], folder: Path, pipeline: str, name: str) -> SavedStep:
    if name not in steps:
        raise ValueError(f"{folder / pipeline}.json must have a step {name}, got {', '.join(steps)}")
    return steps[name]


def _tensors(step: SavedStep, shapes: Mapping[str, tuple[int, ...]], others: bool = False) -> dict[str, np.ndarray]:
    if step.state is None:
        raise ValueError(f"{step.where} must have a state_file with {', '.join(shapes)}, got none")
    step.state.require(shapes, step.where, others=others)
    return safetensors.numpy.load_file(step.state.path)


def _read_normalisation(step: SavedStep, features: Mapping[str, Mapping]) -> Normalisation:
    for name, value in (("eps", EPSILON), ("norm_map", _NORMALISATION_MODES), ("features", features)):
        if step.config.get(name) != value:
            raise ValueError(f"{step.where}.config.{name} must be {value}, got {said(step.config.get(name))}")
    shapes = dict(zip(_STATISTICS, [(PROPRIOCEPTION_DIM,)] * 2 + [(ACTION_DIM,)] * 2, strict=True))
    values = _tensors(step, shapes, others=True)  # `lerobot-train` keeps every statistic of its dataset
    for key in (STATE_KEY, ACTION_KEY):
        if not (values[f"{key}.std"] > 0).all():
            raise ValueError(
                f"{step.where}: {key}.std in its state_file must be above 0, got {values[f'{key}.std'].min()}"
            )
    return Normalisation(*(values[name] for name in _STATISTICS))


def _read_encoder(step: SavedStep) -> InstructionEncoder:
    name, known = step.config.get("encoder"), step.config.get("instructions", [])
    if name not in ENCODERS:
        raise ValueError(f"{step.where}.config.encoder must be one of {', '.join(ENCODERS)}, got {said(name)}")
    if not isinstance(known, list) or not all(isinstance(text, str) for text in known) or len(set(known)) < len(known):
        raise ValueError(f"{step.where}.config.instructions must be different texts, got {said(known)}")
    stored = bool(known) or step.state is not None
    embeddings = _tensors(step, {"embeddings": (len(known), EMBEDDING_DIM)})["embeddings"] if stored else ()
    return InstructionEncoder(name, dict(zip(known, embeddings, strict=True)))
