"""Every parameter of a preset: small files of overrides over the dataclasses' defaults, in `ocrrl/presets/`."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import yaml

from ocrrl.config_builder import ParamsError, build, values_of
from ocrrl.interface.cameras import DEFAULT_CAMERAS
from ocrrl.params import CAMERAS, CONFIGS, MULTITASK_CONFIGS, SHARED, config_class

PRESETS = ("default", "smoke", "paper")
BASES = ("compact", "act", "diffusion", "smolvla", "pi05", "groot_n17", "groot_n15")
"""The VLAs that a preset can have as its base."""


def resolve(
    preset: str,
    tabletop_tasks: Sequence[str],
    entries: Mapping[str, Mapping[str, Any]] | None = None,
    base: str = "compact",
) -> dict[str, Any]:
    """Every parameter of `preset` for `tabletop_tasks`: defaults, then default.yaml, then the preset's own overrides.

    `base` is the VLA: its file's overrides come before the preset's, whose own `policy` does not count then.
    `entries` are those of the section `tabletop_tasks` as far as they are not the twin's demonstrations alone. Raises ParamsError
    for a preset that is none.
    """
    if preset not in PRESETS:
        raise ParamsError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}")
    if base not in BASES:
        raise ParamsError(f"base must be one of {', '.join(BASES)}, got {base!r}")
    layers = [_preset("default"), _preset(f"bases/{base}")]
    if preset != "default":
        layers.append(_preset(preset) if base == "compact" else _without_policy(_preset(preset)))
    own = {task: dict((entries or {}).get(task, {})) for task in tabletop_tasks}
    recorded = {task: {"episodes": f"data/episodes/{task}/recorded"} for task in tabletop_tasks}
    sections: dict[str, Any] = {"tabletop_tasks": {task: recorded[task] | own[task] for task in tabletop_tasks}}
    cameras = next((layer[CAMERAS] for layer in reversed(layers) if CAMERAS in layer), DEFAULT_CAMERAS)
    sections[CAMERAS] = {name: list(size) for name, size in cameras.items()}

    def config_of(section: str, keys: tuple[str, ...]) -> Any:
        values: dict[str, Any] = {}
        for entries in (layer.get(section, {}) for layer in layers):
            for overrides in [entries.get(key, {}) for key in keys] if keys else [entries]:
                values |= overrides
        where = ".".join((f"preset {preset}: {section}", *keys[-1:]))
        return build(config_class(section), values, where, complete=False)

    for section in CONFIGS:
        shared = config_of(section, (SHARED,))
        sections[section] = {SHARED: values_of(shared)}
        for task in tabletop_tasks:
            own_config = config_of(section, (SHARED, task))
            sections[section][task] = {
                name: value
                for name, value in dataclasses.asdict(own_config).items()
                if getattr(own_config, name) != getattr(shared, name)
            }
    for section in MULTITASK_CONFIGS:
        sections[section] = values_of(config_of(section, ()))
    return json.loads(json.dumps(sections))


def _preset(name: str) -> dict[str, Any]:
    return yaml.safe_load((resources.files("ocrrl") / "presets" / f"{name}.yaml").read_text()) or {}


def _without_policy(layer: Mapping[str, Any]) -> dict[str, Any]:
    """A preset's overrides without those of the VLA, which another base has."""

    def rest(values: Any) -> Any:
        return (
            {key: rest(value) for key, value in values.items() if key != "policy"}
            if isinstance(values, dict)
            else values
        )

    return rest(dict(layer))
