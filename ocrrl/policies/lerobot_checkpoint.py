"""Checks a LeRobot checkpoint before LeRobot opens it: configuration, pipelines, tokenizer folders.

Types are LeRobot 0.6.1's. What the weights must be follows from the model: `lerobot_loading`.
"""

import dataclasses
import importlib
import inspect
import re
import types
import typing
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ocrrl.interface.json_file import read_json_object, said
from ocrrl.interface.model_folder import REMOTE_CODE, require_model_folder
from ocrrl.interface.weights_file import read_weights_file
from ocrrl.policies.lerobot_loading import lerobot_errors
from ocrrl.policies.policy_type import COMPACT
from ocrrl.policies.saved_pipeline import POSTPROCESSOR, PREPROCESSOR, SavedStep, read_pipeline, require_statistics

REMOTE_CODE_TYPES = ("gaussian_actor", "groot", "pi0_fast", "wall_x")
"""Types that LeRobot opens with trust_remote_code: the folders of their tokenizers and backbones may run code."""

_COMMON_STEPS = (
    "absolute_actions_processor",
    "device_processor",
    "normalizer_processor",
    "observation_processor",
    "relative_actions_processor",
    "rename_observations_processor",
    "smolvla_new_line_processor",
    "to_batch_processor",
    "tokenizer_processor",
    "unnormalizer_processor",
)
"""Steps of LeRobot's own that policies' pipelines have; none of them imports or runs what its settings name."""
_STEPS_OF_TYPE = {"pi0_fast": ("action_tokenizer_processor",), "xvla": ("libero_processor",)}

NORMALISED_TYPES = (
    *("act", "diffusion", "gaussian_actor", "multi_task_dit", "pi0", "pi05"),
    *("pi0_fast", "smolvla", "tdmpc", "vqbet", "wall_x"),
)
"""Types whose pipelines standardise by LeRobot's own two steps, in the way that their config.json says."""

_MOST = (
    (re.compile("layer|depth|block"), 512),
    (re.compile("chunk|n_action_steps|horizon|n_obs_steps"), 4096),
    (re.compile("imag|img|resolution|resize|crop"), 8192),
    (re.compile(""), 2**31 - 1),
)
"""The largest whole number in a field, by its name, so that a damaged size is named and not allocated."""
_MOST_FEATURES, _MOST_PIXELS, _MOST_NUMBERS = 64, 8192, 4096
_NO_JSON = ("stats", "tokenizer", "action_tokenizer_input_object")
"""Arguments of steps that are objects in memory; LeRobot never saves them."""
_OTHER_MODELS = ("base_model_path", "vlm_model_name", "tokenizer_name", "tokenizer_path")
"""Fields of a base model, backbone or tokenizer that a checkpoint does not hold itself."""
_FOLDER_FIELD = re.compile("name|path|model|tokenizer|base")


def require_lerobot_checkpoint(
    folder: Path, expected_type: str, allow_remote_code: bool, pipelines: bool = True
) -> None:
    """Check all of the checkpoint `folder`, of `expected_type`, so that LeRobot may open it; `pipelines` too if it will.

    Raises FileNotFoundError or ValueError naming the file and the field.
    """
    require_remote_code_allowed(expected_type, allow_remote_code, str(folder))
    require_model_folder(folder, allow_remote_code)
    path = folder / "config.json"
    config = read_json_object(path)
    _require_config(config, path)
    require_named_folders(config, str(path), allow_remote_code)
    weights = folder / "model.safetensors"
    if expected_type != "groot" or weights.exists():  # NVIDIA's own folder of GR00T is in shards
        if (folder / "model.safetensors.index.json").exists() and not weights.exists():
            raise ValueError(
                f"{weights} must be there, got a model in shards, which LeRobot does not open; open it with the library that "
                "saved it and save it in one file"
            )
        read_weights_file(weights)
    raw = expected_type == "groot" and not (folder / f"{PREPROCESSOR}.json").exists()
    if pipelines and not raw:
        from lerobot.processor import ProcessorStepRegistry

        with lerobot_errors(str(path)):
            known = _known_steps(expected_type)
        before, after = (read_pipeline(folder, name, known) for name in (PREPROCESSOR, POSTPROCESSOR))
        for step in (*before, *after):
            _require_plain_types(step.config, ProcessorStepRegistry.get(step.name), f"{step.where}.config.")
            require_named_folders(step.config, f"{step.where}.config", allow_remote_code)
        require_statistics([*before, *after])
        if expected_type in NORMALISED_TYPES:
            _require_normalised(config, before, "normalizer_processor", folder / f"{PREPROCESSOR}.json")
            _require_normalised(config, after, "unnormalizer_processor", folder / f"{POSTPROCESSOR}.json")


def require_remote_code_allowed(policy_type: str, allowed: bool, where: str) -> None:
    """ValueError for a type that LeRobot opens with trust_remote_code, unless this is `allowed`."""
    if policy_type in REMOTE_CODE_TYPES and not allowed:
        raise ValueError(
            f"{where}: policy type {policy_type} must be allowed first, as LeRobot opens it with trust_remote_code; {REMOTE_CODE}"
        )


def require_named_folders(fields: Mapping[str, Any], where: str, allow_remote_code: bool) -> None:
    """Look through each local folder that a field names (tokenizers, backbones), as through the checkpoint itself.

    ValueError too for a base model, backbone or tokenizer of a path that is not there.
    """
    for name, value in fields.items():
        if not isinstance(value, str) or not value or not _FOLDER_FIELD.search(name):
            continue
        if name in _OTHER_MODELS and Path(value).expanduser().is_absolute() and not Path(value).expanduser().exists():
            raise ValueError(
                f"{where}: {name} must name a folder that is there, or ORG/NAME on the Hugging Face hub, got {value}, which is not "
                "there: this model holds only a part of its weights and processors; put the folder back, or name another place"
            )
        if Path(value).is_dir():
            try:
                require_model_folder(Path(value), allow_remote_code)
            except (ValueError, FileNotFoundError) as error:
                raise ValueError(f"{where}: {name} must name a sound folder: {error}") from error


def policy_config_class(policy_type: str, where: str) -> Any:
    """LeRobot's configuration class of `policy_type`; ValueError naming `where` and the types there are, for another."""
    from lerobot.configs import PreTrainedConfig

    import_policies()
    choices = PreTrainedConfig.get_known_choices()
    if policy_type not in choices:
        raise ValueError(f"{where} must be one of {', '.join(sorted({COMPACT, *choices}))}, got {said(policy_type)}")
    return choices[policy_type]


def import_policies() -> None:
    """Let LeRobot know its own policies and those of installed plugins."""
    import lerobot.policies  # noqa: F401  registers LeRobot's own
    from lerobot.utils.import_utils import register_third_party_plugins

    register_third_party_plugins()


def _require_config(config: Mapping[str, Any], path: Path) -> None:
    from lerobot import __version__

    config_class = policy_config_class(config["type"], f"{path}: type")
    known = [field.name for field in dataclasses.fields(config_class)]
    for name, value in config.items():
        if name != "type" and name not in known:
            raise ValueError(
                f"{path}: {name} is no field of {config['type']} in LeRobot {__version__}; it is a checkpoint of another LeRobot "
                f"version. Its fields here: {', '.join(sorted(known))}"
            )
        _require_sizes(value, name, f"{path}: {name}")
    _require_plain_types(config, config_class, f"{path}: ")
    if config.get("use_peft"):
        raise ValueError(
            f"{path}: use_peft must be false, got an adapter (LoRA); merge it into its base model with peft's "
            "merge_and_unload() and save that"
        )
    for name in ("input_features", "output_features"):
        _require_features(config.get(name), f"{path}: {name}")


def _require_sizes(value: Any, name: str, where: str) -> None:
    most = next(most for pattern, most in _MOST if pattern.search(name))
    for number in value if isinstance(value, list) else [value]:
        if isinstance(number, int) and not isinstance(number, bool) and not -(2**31) <= number <= most:
            raise ValueError(f"{where} must be at most {most}, got {said(number)}")


def _require_features(features: Any, where: str) -> None:
    if features is None:
        return
    if not isinstance(features, dict) or len(features) > _MOST_FEATURES:
        raise ValueError(f"{where} must map at most {_MOST_FEATURES} features to their shapes, got {said(features)}")
    for name, feature in features.items():
        shape = feature.get("shape") if isinstance(feature, dict) else None
        if not isinstance(feature, dict) or set(feature) != {"type", "shape"} or not isinstance(shape, list):
            raise ValueError(f"{where}.{name} must have a type and a shape, got {said(feature)}")
        image = feature["type"] == "VISUAL"
        most = _MOST_PIXELS if image else _MOST_NUMBERS
        if not all(type(size) is int and 1 <= size <= most for size in shape) or (image and len(shape) != 3):
            raise ValueError(
                f"{where}.{name}.shape must be {'three' if image else 'whole'} numbers from 1 to {most}, got {said(shape)}"
            )


def _require_normalised(config: Mapping[str, Any], steps: list[SavedStep], name: str, path: Path) -> None:
    """ValueError unless the pipeline standardises what config.json says, in its way; else numbers go through as they are."""
    step = next((step for step in steps if step.name == name), None)
    if step is None:
        raise ValueError(f"{path} must have a step {name}, got {', '.join(step.name for step in steps) or 'none'}")
    if step.config.get("norm_map") != config.get("normalization_mapping", step.config.get("norm_map")):
        raise ValueError(
            f"{step.where}.config.norm_map must be the normalization_mapping of config.json, {config['normalization_mapping']}, got "
            f"{said(step.config.get('norm_map'))}"
        )
    of_config = {**(config.get("input_features") or {}), **(config.get("output_features") or {})}
    for feature, described in step.config["features"].items():
        if of_config.get(feature) != described:
            raise ValueError(
                f"{step.where}.config.features.{feature} must be as config.json has it, {said(of_config.get(feature))}, got "
                f"{said(described)}"
            )
    outputs = [feature for feature in config.get("output_features") or {} if feature not in step.config["features"]]
    if outputs:
        raise ValueError(
            f"{step.where}.config.features must hold {outputs[0]}, got {', '.join(step.config['features'])}"
        )


def _known_steps(policy_type: str) -> dict[str, Collection[str] | None]:
    """The steps that a pipeline of `policy_type` may have, each with its settings."""
    from lerobot.processor import ProcessorStepRegistry

    module = policy_config_class(policy_type, "type").__module__
    importlib.import_module(module.replace("configuration_", "processor_"))  # registers its own steps
    package = module.rpartition(".")[0]
    common = (*_COMMON_STEPS, *_STEPS_OF_TYPE.get(policy_type, ()))
    known: dict[str, Collection[str] | None] = {}
    for name in ProcessorStepRegistry.list():
        step = ProcessorStepRegistry.get(name)
        if name in common or step.__module__.startswith(f"{package}."):
            known[name] = _settings(step)
    return known


def _require_plain_types(values: Mapping[str, Any], declared: type, where: str) -> None:
    """ValueError for a value that `declared` has as a number, text, switch or mapping, and that is none."""
    hints = typing.get_type_hints(declared)
    for name, value in values.items():
        hint = hints.get(name)
        kinds = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
        kinds = tuple(typing.get_origin(kind) or kind for kind in kinds)
        if not set(kinds) <= {int, float, str, bool, dict, type(None)} or type(value) in kinds:
            continue
        if (float in kinds and type(value) is int) or (
            int in kinds and type(value) is bool
        ):  # LeRobot has an int of False
            continue
        names = {type(None): "null", int: "int", float: "float", str: "str", bool: "bool", dict: "dict"}
        wanted = " or ".join(sorted(names[kind] for kind in kinds if kind))
        raise ValueError(f"{where}{name} must be {wanted}, got {said(value)}")


def _settings(step: type) -> list[str] | None:
    """What the step's constructor takes; None where it takes any keyword."""
    parameters = list(inspect.signature(step).parameters.values())
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return [parameter.name for parameter in parameters if parameter.name not in _NO_JSON]
