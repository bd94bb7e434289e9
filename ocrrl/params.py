"""params.yaml: one section a stage, one entry a tabletop task, mapped to the frozen dataclass beside its user.

A preset is a small file of overrides over the dataclasses' defaults; `resolve` writes out every value, so that DVC sees
each change.
"""

import dataclasses
import importlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from ocrrl.config_builder import ParamsError, build
from ocrrl.params_graph import GRAPH_SECTIONS, graph_sections, seeds_and_rounds

PARAMS_FILE = Path("params.yaml")
PRESETS = ("default", "smoke", "paper")

CONFIGS = {
    "record": "ocrrl.datasets.record:RecordConfig",
    "ingest": "ocrrl.datasets.ingest:IngestConfig",
    "replay": "ocrrl.datasets.replay:ReplayConfig",
    "finetune": "ocrrl.policies.finetune:FinetuneConfig",
    "train_residual": "ocrrl.residual.residual_config:ResidualConfig",
    "evaluate": "ocrrl.rollouts.evaluate:EvaluateConfig",
    "rollout": "ocrrl.rollouts.rollout:RolloutConfig",
    "rollout_base": "ocrrl.rollouts.rollout:RolloutConfig",
    "training_set": "ocrrl.datasets.training_set:TrainingSetConfig",
    "retrain": "ocrrl.policies.finetune:FinetuneConfig",
    "evaluate_retrained": "ocrrl.rollouts.evaluate_retrained:EvaluateRetrainedConfig",
    "promote": "ocrrl.rollouts.evaluate_retrained:EvaluateRetrainedConfig",
}


MULTITASK_CONFIGS = {
    "retrain_multitask": "ocrrl.policies.finetune:FinetuneConfig",
    "evaluate_multitask": "ocrrl.rollouts.evaluate_retrained:EvaluateRetrainedConfig",
}
"""Sections of stages that work on all tabletop tasks at once: one set of parameters each."""


class Params:
    """The sections of a params.yaml, each value checked when it is asked for."""

    def __init__(self, sections: dict[str, Any], source: str):
        self._sections, self._source = sections, source
        known = (*GRAPH_SECTIONS, *CONFIGS, *MULTITASK_CONFIGS)
        if unknown := sorted(set(sections) - set(known)):
            raise ParamsError(f"{source}: sections must be among {', '.join(known)}, got {', '.join(unknown)}")

    @classmethod
    def read(cls, path: Path = PARAMS_FILE) -> "Params":
        """The parameters in `path`. Raises ParamsError if the file is missing or not YAML."""
        if not path.is_file():
            raise ParamsError(f"{path} must exist here; write it with `ocrrl params --preset default`")
        try:
            sections = yaml.safe_load(path.read_text())
        except yaml.YAMLError as error:
            raise ParamsError(f"{path} must be YAML: {error}") from error
        if not isinstance(sections, dict):
            raise ParamsError(f"{path} must hold sections, got {type(sections).__name__}")
        return cls(sections, str(path))

    def config(self, section: str, tabletop_task: str) -> Any:
        """The section's dataclass for `tabletop_task`; every key must be there, and no other."""
        entry = self._entry(section, tabletop_task)
        return build(config_class(section), entry, f"{self._source}: {section}.{tabletop_task}")

    def multitask_config(self, section: str) -> Any:
        """The dataclass of a stage that works on all tabletop tasks at once."""
        return build(config_class(section), self._sections.get(section), f"{self._source}: {section}")

    def tasks(self) -> list[str]:
        """The tabletop tasks of the loop; ParamsError unless they are the keys of `tabletop_tasks`."""
        tasks = self._sections.get("tasks")
        if not isinstance(tasks, list) or set(tasks) != set(self._sections.get("tabletop_tasks", {})):
            raise ParamsError(
                f"{self._source}: tasks must list the keys of tabletop_tasks, for DVC's matrix stages, got {tasks}"
            )
        return tasks

    def episodes_folder(self, tabletop_task: str) -> Path:
        """The folder of the demonstrations that the loop starts from."""
        entry = self._entry("tabletop_tasks", tabletop_task)
        where = f"{self._source}: tabletop_tasks.{tabletop_task}"
        if not isinstance(entry, dict) or set(entry) != {"episodes"} or not isinstance(entry["episodes"], str):
            raise ParamsError(f"{where} must hold the one key episodes, a folder, got {entry!r}")
        loops = self._sections.get("loops")
        for key, loop in loops.items() if isinstance(loops, dict) else ():
            if loop.get("task") == tabletop_task and loop.get("episodes") != entry["episodes"]:  # DVC goes by this one
                raise ParamsError(
                    f"{self._source}: loops.{key}.episodes must be {entry['episodes']}, as tabletop_tasks has it, got "
                    f"{loop.get('episodes')}; `ocrrl params`, without a preset, writes it"
                )
        return Path(entry["episodes"])

    def check(self) -> None:
        """Build every config once. Raises ParamsError naming the first value that is wrong."""
        for task in self.tasks():
            self.episodes_folder(task)
            for section in CONFIGS:
                self.config(section, task)
        for section in MULTITASK_CONFIGS:
            self.multitask_config(section)
        expected = graph_sections(self._sections["tabletop_tasks"], *seeds_and_rounds(self._sections))
        for section in expected:
            if section != "tasks" and self._sections.get(section) != expected[section]:
                raise ParamsError(
                    f"{self._source}: {section} must be what follows from tabletop_tasks, residuals and rounds; `ocrrl params`, "
                    "without a preset, writes it"
                )

    def _entry(self, section: str, tabletop_task: str) -> Any:
        entries = self._sections.get(section)
        if not isinstance(entries, dict) or tabletop_task not in entries:
            known = ", ".join(entries) if isinstance(entries, dict) else "nothing"
            raise ParamsError(
                f"{self._source}: {section} must hold {tabletop_task}, got {known}; `ocrrl params --preset default` writes every "
                "parameter"
            )
        return entries[tabletop_task]


def config_class(section: str) -> type:
    """The dataclass that validates `section`, imported when asked for."""
    module, name = (CONFIGS | MULTITASK_CONFIGS)[section].split(":")
    return getattr(importlib.import_module(module), name)


def resolve(
    preset: str,
    tabletop_tasks: list[str],
    residual_seeds: int = 1,
    rounds: int = 1,
    episodes: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Every parameter of `preset` for `tabletop_tasks`: defaults, then default.yaml, then the preset's own overrides.

    A residual is trained for each of so many seeds in the first round, one in each later round. `episodes` are folders of
    demonstrations by tabletop task, the twin's where there is none. Raises ParamsError for a preset that is none, ValueError
    for fewer than one seed or round.
    """
    if preset not in PRESETS:
        raise ParamsError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}")
    layers = [_preset("default")] + ([_preset(preset)] if preset != "default" else [])
    folders = {task: f"data/episodes/{task}/recorded" for task in tabletop_tasks} | dict(episodes or {})
    sections = graph_sections({task: {"episodes": folders[task]} for task in tabletop_tasks}, residual_seeds, rounds)
    for section in CONFIGS:
        sections[section] = {}
        for task in tabletop_tasks:
            values: dict[str, Any] = {}
            for layer in layers:
                overrides = layer.get(section, {})
                values |= overrides.get("shared", {}) | overrides.get(task, {})
            config = build(config_class(section), values, f"preset {preset}: {section}.{task}", complete=False)
            sections[section][task] = _plain(dataclasses.asdict(config))
    for section in MULTITASK_CONFIGS:
        values = {key: value for layer in layers for key, value in layer.get(section, {}).items()}
        config = build(config_class(section), values, f"preset {preset}: {section}", complete=False)
        sections[section] = _plain(dataclasses.asdict(config))
    return sections


def write(sections: dict[str, Any], preset: str, path: Path = PARAMS_FILE) -> None:
    """Write `sections` to `path`; comments of an older file there are not kept."""
    _write(
        f"# Every parameter, written by `ocrrl params --preset {preset}`; edit freely, DVC sees each change.",
        sections,
        path,
    )


def episodes_in(path: Path) -> dict[str, str]:
    """The folders of demonstrations that the params.yaml at `path` names, by tabletop task; none where there is no such file."""
    return _folders(Params.read(path)._sections) if path.is_file() else {}


def rewrite_graph(
    path: Path, episodes: Mapping[str, str], residual_seeds: int | None = None, rounds: int | None = None
) -> None:
    """Write anew what dvc.yaml makes stages for in the params.yaml at `path`, every other value left as it is.

    `episodes` replaces folders of demonstrations by tabletop task; None keeps the seeds, the rounds. Raises ParamsError for a
    tabletop task that the file does not have.
    """
    sections = Params.read(path)._sections
    folders = _folders(sections)
    if unknown := sorted(set(episodes) - set(folders)):
        raise ParamsError(
            f"{path}: tabletop_tasks must hold {unknown[0]} to name its episodes, got {', '.join(folders)}"
        )
    now = seeds_and_rounds(sections)
    counts = (before if asked is None else asked for before, asked in zip(now, (residual_seeds, rounds), strict=True))
    entries = {task: {"episodes": folder} for task, folder in (folders | dict(episodes)).items()}
    graph = graph_sections(entries, *counts)
    head = path.read_text().splitlines()[0]
    _write(head if head.startswith("#") else "", sections | graph, path)


def _folders(sections: Mapping[str, Any]) -> dict[str, str]:
    entries = sections.get("tabletop_tasks")
    found = entries.items() if isinstance(entries, dict) else ()
    return {task: entry["episodes"] for task, entry in found if isinstance(entry, dict) and "episodes" in entry}


def _write(head: str, sections: dict[str, Any], path: Path) -> None:
    text = f"{head}\n" * bool(head) + yaml.safe_dump(sections, sort_keys=False, width=120)
    path.write_text(text)


def _preset(name: str) -> dict[str, Any]:
    return yaml.safe_load((resources.files("ocrrl") / "presets" / f"{name}.yaml").read_text()) or {}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
