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

from ocrrl.config_builder import ParamsError, build, listed, shown, typed
from ocrrl.params_graph import GRAPH_SECTIONS, graph_sections, require_graph_names, seeds_and_rounds
from ocrrl.safe_yaml import read_yaml

PARAMS_FILE = Path("params.yaml")
PRESETS = ("default", "smoke", "paper")

CONFIGS = {
    "record": "ocrrl.rollouts.record:RecordConfig",
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


NAMES_NEXT = "correct it, or delete the file and write it anew with `ocrrl params --preset default`"


class Params:
    """The sections of a params.yaml, each value checked when it is asked for."""

    def __init__(self, sections: dict[str, Any], source: str):
        self._sections, self._source = sections, source
        known = (*GRAPH_SECTIONS, *CONFIGS, *MULTITASK_CONFIGS)
        if unknown := [name for name in sections if name not in known]:
            raise ParamsError(f"{source}: sections must be among {', '.join(known)}, got {listed(unknown)}")
        try:
            require_graph_names(sections, source)
        except ValueError as error:
            raise ParamsError(f"{error}; {NAMES_NEXT}") from error

    @classmethod
    def read(cls, path: Path = PARAMS_FILE) -> "Params":
        """The parameters in `path`. Raises ParamsError if the file is missing or not YAML."""
        if not path.is_file():
            here = (
                ""
                if path.with_name("dvc.yaml").is_file()
                else f"run in the project's folder ({Path.cwd()} is none), or "
            )
            raise ParamsError(f"{path} must exist here; {here}write it with `ocrrl params --preset default`")
        try:
            sections = read_yaml(path)
        except ValueError as error:
            raise ParamsError(str(error)) from error
        if not isinstance(sections, dict):
            raise ParamsError(f"{path} must hold sections, got {shown(sections)}")
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
        tasks, entries = self._graph("tasks"), self._graph("tabletop_tasks")
        if sorted(tasks) != sorted(entries):
            raise ParamsError(
                f"{self._source}: tasks must list the keys of tabletop_tasks, for DVC's matrix stages, got {shown(tasks)}"
            )
        return tasks

    def episodes_folder(self, tabletop_task: str) -> Path:
        """The folder of the demonstrations that the loop starts from."""
        self._entry("tabletop_tasks", tabletop_task)
        folder = self._graph("tabletop_tasks")[tabletop_task].episodes
        if not folder or "\0" in folder:
            raise ParamsError(
                f"{self._source}: tabletop_tasks.{tabletop_task}.episodes must be a folder, got {shown(folder)}"
            )
        loops = self._graph("loops") if "loops" in self._sections else {}
        for key, loop in loops.items():
            if loop.task == tabletop_task and loop.episodes != folder:  # DVC goes by this one
                raise ParamsError(
                    f"{self._source}: loops.{key}.episodes must be {folder}, as tabletop_tasks has it, got {loop.episodes}; "
                    "`ocrrl params`, without a preset, writes it"
                )
        return Path(folder)

    def episodes_folders(self) -> dict[str, str]:
        """The folder of every tabletop task's demonstrations, as `tabletop_tasks` has it."""
        entries = self._graph("tabletop_tasks") if "tabletop_tasks" in self._sections else {}
        return {task: entry.episodes for task, entry in entries.items()}

    def check(self) -> None:
        """Build every config once. Raises ParamsError naming the first value that is wrong."""
        tasks = self.tasks()
        for task in tasks:
            self.episodes_folder(task)
            for section in CONFIGS:
                self.config(section, task)
        for section in CONFIGS:
            if others := [key for key in self._sections[section] if key not in tasks]:
                raise ParamsError(
                    f"{self._source}: {section} must hold {listed(tasks)} and no other, got {listed(others)}"
                )
        for section in MULTITASK_CONFIGS:
            self.multitask_config(section)
        for section in GRAPH_SECTIONS:
            self._graph(section)
        try:
            expected = graph_sections(self._sections["tabletop_tasks"], *seeds_and_rounds(self._sections))
        except ValueError as error:
            raise ParamsError(f"{self._source}: {error}") from error
        for section in expected:
            if section != "tasks" and self._sections.get(section) != expected[section]:
                raise ParamsError(
                    f"{self._source}: {section} must be what follows from tabletop_tasks, residuals and rounds; `ocrrl params`, "
                    "without a preset, writes it"
                )

    def _entry(self, section: str, tabletop_task: str) -> Any:
        entries = self._sections.get(section)
        if not isinstance(entries, dict) or tabletop_task not in entries:
            known = listed(entries) if isinstance(entries, dict) else "nothing"
            raise ParamsError(
                f"{self._source}: {section} must hold {tabletop_task}, got {known}; `ocrrl params --preset default` writes every "
                "parameter"
            )
        return entries[tabletop_task]

    def _graph(self, section: str) -> Any:
        """One of `GRAPH_SECTIONS`, each value of its type."""
        return typed(self._sections.get(section), GRAPH_SECTIONS[section], f"{self._source}: {section}")


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
    return Params.read(path).episodes_folders() if path.is_file() else {}


def rewrite_graph(
    path: Path, episodes: Mapping[str, str], residual_seeds: int | None = None, rounds: int | None = None
) -> None:
    """Write anew what dvc.yaml makes stages for in the params.yaml at `path`, every other value left as it is.

    `episodes` replaces folders of demonstrations by tabletop task; None keeps the seeds, the rounds. Raises ParamsError for a
    tabletop task that the file does not have.
    """
    params = Params.read(path)
    sections, folders = params._sections, params.episodes_folders()
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


def _write(head: str, sections: dict[str, Any], path: Path) -> None:
    Params(sections, str(path))  # nothing is written that would be refused when it is read
    text = f"{head}\n" * bool(head) + yaml.safe_dump(sections, sort_keys=False, width=120)
    whole = path.resolve()  # a link stays one
    partial = whole.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text)
        partial.replace(whole)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def _preset(name: str) -> dict[str, Any]:
    return yaml.safe_load((resources.files("ocrrl") / "presets" / f"{name}.yaml").read_text()) or {}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
