"""Reads and checks a checkpoint's pre- and postprocessor before LeRobot builds their steps.

LeRobot imports and calls whatever a step's `class` names, and joins `state_file` to the folder as it is; here a step is one
that the policy's type has, by its `registry_name`, and its state lies beside the JSON file.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ocrrl.interface.json_file import read_json_object, said
from ocrrl.interface.weights_file import WeightsFile, read_weights_file

PREPROCESSOR, POSTPROCESSOR = "policy_preprocessor", "policy_postprocessor"
STEP_KEYS = ("registry_name", "config", "state_file")
_STATE_FILE = re.compile(r"[A-Za-z0-9_\-]+(\.[A-Za-z0-9_\-]+)*\.safetensors")
_STATISTICS = {
    "MEAN_STD": ("mean", "std"),
    "MIN_MAX": ("min", "max"),
    "QUANTILES": ("q01", "q99"),
    "QUANTILE10": ("q10", "q90"),
}
"""What LeRobot's normaliser needs of a feature, by its mode; without it the feature is passed on as it is, in silence."""


@dataclass(frozen=True)
class SavedStep:
    """One step of a saved pipeline; `where` names it in an error."""

    name: str
    config: Mapping[str, Any]
    state: WeightsFile | None
    where: str


def read_pipeline(folder: Path, name: str, known: Mapping[str, Collection[str] | None]) -> list[SavedStep]:
    """The steps of `<name>.json` in `folder`; `known` maps the steps that the policy may have to their settings (None: any).

    Raises FileNotFoundError or ValueError naming the file and the entry.
    """
    path = folder / f"{name}.json"
    if not path.exists() and not path.is_symlink():
        raise FileNotFoundError(
            f"{path} must be there, got a checkpoint without it; one of an older LeRobot gets it by `python -m "
            "lerobot.processor.migrate_policy_normalization --pretrained-path FOLDER`"
        )
    content = read_json_object(path)
    _require_keys(content, ("name", "steps"), str(path))
    steps = content.get("steps")
    if not isinstance(steps, list):
        raise ValueError(f"{path}: steps must be a list, got {said(steps)}")
    if not isinstance(content.get("name", name), str):
        raise ValueError(f"{path}: name must be text, got {said(content['name'])}")
    return [_read_step(folder, entry, f"{path}: steps[{index}]", known) for index, entry in enumerate(steps)]


def require_statistics(steps: list[SavedStep]) -> None:
    """ValueError unless each (un)normaliser has the statistics that its features' modes need, of their shapes."""
    for step in steps:
        if step.name not in ("normalizer_processor", "unnormalizer_processor"):
            continue
        features, modes = step.config.get("features"), step.config.get("norm_map")
        if not isinstance(features, dict) or not isinstance(modes, dict):
            raise ValueError(f"{step.where} must have features and norm_map, got {said(dict(step.config))}")
        for kind, mode in modes.items():
            if not isinstance(mode, str) or mode not in ("IDENTITY", *_STATISTICS):
                raise ValueError(
                    f"{step.where}.config.norm_map.{kind} must be one of IDENTITY, {', '.join(_STATISTICS)}, got {said(mode)}"
                )
        for feature, described in features.items():
            kind, shape = _described(described, f"{step.where}.features.{feature}")
            if step.name == "unnormalizer_processor" and kind != "ACTION":
                continue
            for statistic in _STATISTICS.get(modes.get(kind, "IDENTITY"), ()):
                _require_statistic(step, feature, statistic, None if kind == "VISUAL" else shape)


def _require_statistic(step: SavedStep, feature: str, statistic: str, shape: tuple[int, ...] | None) -> None:
    name = f"{feature}.{statistic}"
    held = {} if step.state is None else step.state.tensors
    where = step.where if step.state is None else str(step.state.path)
    if name not in held:
        raise ValueError(
            f"{where} must hold {name} to normalise {feature}, got {', '.join(sorted(held)) or 'no statistics'}"
        )
    if shape is not None and held[name].shape != shape:
        raise ValueError(f"{where}: {name} must have the shape {shape} of {feature}, got {held[name].shape}")


def _described(feature: Any, where: str) -> tuple[str, tuple[int, ...]]:
    shape = feature.get("shape") if isinstance(feature, dict) else None
    if not isinstance(feature, dict) or not isinstance(feature.get("type"), str) or not isinstance(shape, list):
        raise ValueError(f"{where} must have a type and a shape, got {said(feature)}")
    return feature["type"], tuple(shape)


def _read_step(folder: Path, entry: Any, where: str, known: Mapping[str, Collection[str] | None]) -> SavedStep:
    if not isinstance(entry, dict):
        raise ValueError(f"{where} must be an object with a registry_name, got {said(entry)}")
    if "class" in entry:
        raise ValueError(
            f"{where}.class must not be there, got {said(entry['class'])}: LeRobot would import and call it; a step is named "
            "by its registry_name"
        )
    _require_keys(entry, STEP_KEYS, where)
    name = entry.get("registry_name")
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"{where}.registry_name must be one of {', '.join(sorted(known))}, got {said(name)}")
    config = entry.get("config", {})
    if not isinstance(config, dict):
        raise ValueError(f"{where}.config must be an object, got {said(config)}")
    settings = known[name]
    if settings is not None:
        _require_keys(config, settings, f"{where}.config of {name}")
    return SavedStep(name, config, _state(folder, entry["state_file"], where) if "state_file" in entry else None, where)


def _state(folder: Path, name: Any, where: str) -> WeightsFile:
    if not isinstance(name, str) or not _STATE_FILE.fullmatch(name):
        raise ValueError(f"{where}.state_file must name a .safetensors file beside the JSON file, got {said(name)}")
    state = read_weights_file(folder / name)
    state.require_finite()
    return state


def _require_keys(content: Mapping[str, Any], known: Collection[str], where: str) -> None:
    if unknown := sorted(set(content) - set(known)):
        raise ValueError(f"{where} must hold only {', '.join(known) or 'nothing'}, got {unknown[0]}")
