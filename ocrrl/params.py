"""Reads params.yaml: each section becomes the frozen dataclass of the stage that uses it.

A section holds `shared` values and, under each tabletop task, the values that the task has otherwise. graph.yaml is derived
from params.yaml (`ocrrl.params_graph`). Presets: `ocrrl.preset_params`.
"""

import importlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ocrrl.config_builder import ParamsError, build, listed, shown, typed
from ocrrl.interface.cameras import DEFAULT_CAMERAS, CameraSizes, checked_cameras
from ocrrl.interface.renamed import RENAMED
from ocrrl.params_graph import (
    GRAPH_FILE,
    GRAPH_SECTIONS,
    Recordings,
    graph_of_project,
    require_names,
    seeds_and_rounds,
)
from ocrrl.safe_yaml import read_yaml
from ocrrl.tabletop.registry import register

PARAMS_FILE = Path("params.yaml")

CONFIGS = {
    "record": "ocrrl.rollouts.record:RecordConfig",
    "ingest": "ocrrl.recordings.ingest_config:IngestConfig",
    "replay": "ocrrl.replay.replay:ReplayConfig",
    "finetune": "ocrrl.policies.finetune_config:FinetuneConfig",
    "train_residual": "ocrrl.residual.residual_config:ResidualConfig",
    "evaluate": "ocrrl.rollouts.evaluate:EvaluateConfig",
    "rollout": "ocrrl.rollouts.rollout:RolloutConfig",
    "rollout_base": "ocrrl.rollouts.rollout:RolloutConfig",
    "training_set": "ocrrl.recordings.training_set:TrainingSetConfig",
    "retrain": "ocrrl.policies.finetune_config:FinetuneConfig",
    "evaluate_retrained": "ocrrl.rollouts.evaluate_retrained:EvaluateRetrainedConfig",
    "promote": "ocrrl.rollouts.evaluate_retrained:EvaluateRetrainedConfig",
}


MULTITASK_CONFIGS = {
    "retrain_multitask": "ocrrl.policies.finetune_config:FinetuneConfig",
    "evaluate_multitask": "ocrrl.rollouts.evaluate_retrained:EvaluateRetrainedConfig",
}
"""Sections of stages that work on all tabletop tasks at once: one set of parameters each."""


CAMERAS = "cameras"
"""Section of the cameras that VLAs see, the same for all tabletop tasks, since one VLA may be trained on all of them."""
SHARED = "shared"
"""Key of the values that all tabletop tasks of a section have."""
GRAPH_NEXT = "`ocrrl params`, without a preset, writes it"
NAMES_NEXT = "correct it, or delete the file and write it again with `ocrrl params --preset default`"


class Params:
    """The sections of a params.yaml, each value checked when it is asked for."""

    def __init__(self, sections: Mapping[str, Any], source: Path = PARAMS_FILE):
        """ParamsError for a section or a name that is none."""
        self._sections, self._source = sections, str(source)
        known = ("tabletop_tasks", CAMERAS, *CONFIGS, *MULTITASK_CONFIGS)
        if set(sections) & set(GRAPH_SECTIONS):
            raise ParamsError(f"{source} is of version 0.1; `ocrrl migrate` converts it, and the data")
        if old := next(renamed_keys(sections), None):
            place, name = old
            raise ParamsError(
                f"{source}: {place} is called {name} since version 0.2; rename it, or run `ocrrl migrate`, which renames it and "
                "brings the data over"
            )
        if unknown := [name for name in sections if name not in known]:
            raise ParamsError(f"{source}: sections must be among {', '.join(known)}, got {listed(unknown)}")
        try:
            require_names({"tabletop_tasks": sections.get("tabletop_tasks")}, str(source))
        except ValueError as error:
            raise ParamsError(f"{error}; {NAMES_NEXT}") from error
        self.tabletop_tasks: Mapping[str, Recordings] = typed(
            sections.get("tabletop_tasks"), Mapping[str, Recordings], f"{source}: tabletop_tasks"
        )
        try:
            for slug, entry in self.tabletop_tasks.items():
                if entry.module:
                    register(slug, entry.module)
        except ValueError as error:
            raise ParamsError(f"{source}: {error}") from error

        for section in CONFIGS:
            entries = sections.get(section)
            others = set(entries) - {SHARED, *self.tabletop_tasks} if isinstance(entries, dict) else ()
            if others:
                raise ParamsError(
                    f"{source}: {section} must hold shared and {listed(self.tabletop_tasks)}, the keys of tabletop_tasks, got "
                    f"{listed(sorted(map(str, others)))}; remove it, or name the task in tabletop_tasks"
                )

    @classmethod
    def read(cls, path: Path = PARAMS_FILE, graph: bool = True) -> "Params":
        """The parameters in `path`; ParamsError if the file is missing or no YAML, or the `graph`.yaml beside it is stale."""
        require_file(path)
        params = cls(sections_in(path), path)
        if graph:
            graph_file = path.with_name(GRAPH_FILE.name)
            params.require_graph(sections_in(graph_file) if graph_file.is_file() else None, graph_file)
        return params

    def require_graph(self, graph: Mapping[str, Any] | None, path: Path = GRAPH_FILE) -> None:
        """ParamsError unless `graph`, the content of `path`, is what follows from `tabletop_tasks` for its seeds and rounds."""
        if graph is None:
            raise ParamsError(f"{path} must exist beside {self._source}; {GRAPH_NEXT}")
        try:
            require_names(graph, str(path))
        except ValueError as error:
            raise ParamsError(f"{error}; {GRAPH_NEXT}") from error
        try:
            expected = graph_of_project(path.parent, self.tabletop_tasks, *seeds_and_rounds(graph))
        except ValueError as error:
            raise ParamsError(f"{self._source}: {error}") from error
        if wrong := [name for name in (*expected, *graph) if graph.get(name) != expected.get(name)]:
            _ = self.cameras  # of an older version: the next step is another one
            raise ParamsError(
                f"{path}: {wrong[0]} must be what follows from tabletop_tasks in {self._source} and from the seeds and rounds; "
                f"{GRAPH_NEXT}"
            )

    def config(self, section: str, tabletop_task: str) -> Any:
        """The section's dataclass for `tabletop_task`: its own values over the shared ones; every key must be there."""
        self._entry(tabletop_task)
        values, places = {}, {}
        for key in (SHARED, tabletop_task):
            values |= (layer := self._layer(section, key))
            places |= dict.fromkeys(layer, f"{self._source}: {section}.{key}")
        return build(config_class(section), values, f"{self._source}: {section}.{SHARED}", places=places)

    def multitask_config(self, section: str) -> Any:
        """The dataclass of a stage that works on all tabletop tasks at once."""
        return build(config_class(section), self._sections.get(section), f"{self._source}: {section}")

    @property
    def cameras(self) -> CameraSizes:
        """The cameras that VLAs see, and the sizes of their images."""
        if CAMERAS not in self._sections:
            raise ParamsError(
                f"{self._source}: {CAMERAS} must be given since version 0.3; `ocrrl migrate` adds it, and keeps what was computed"
            )
        sizes = typed(self._sections[CAMERAS], Mapping[str, tuple[int, int]], where := f"{self._source}: {CAMERAS}")
        try:
            return checked_cameras(sizes, where)
        except ValueError as error:
            raise ParamsError(str(error)) from error

    def tasks(self) -> list[str]:
        """The tabletop tasks of the loop."""
        return list(self.tabletop_tasks)

    def episodes_folder(self, tabletop_task: str) -> Path:
        """The folder of the demonstrations that the loop starts from."""
        return Path(self._entry(tabletop_task).episodes)

    def latency(self, tabletop_task: str) -> Path | None:
        """The file that says how late the task's VLAs answer; None for VLAs that answer at once."""
        named = self._entry(tabletop_task).latency
        return Path(named) if named else None

    def imported_vla(self, tabletop_task: str, domain: str) -> Path | None:
        """The folder of `ocrrl import-vla` that `finetune` publishes for `domain`; None where it trains a VLA itself."""
        named = self._entry(tabletop_task).imported_vlas().get(domain)
        return Path(named) if named else None

    def check(self) -> None:
        """Build every config once. Raises ParamsError naming the first value that is wrong."""
        _ = self.cameras
        for task in self.tabletop_tasks:
            for section in CONFIGS:
                self.config(section, task)
        for section in MULTITASK_CONFIGS:
            self.multitask_config(section)

    def _entry(self, tabletop_task: str) -> Recordings:
        if tabletop_task not in self.tabletop_tasks:
            raise ParamsError(
                f"{self._source}: tabletop_tasks must hold {tabletop_task}, got {listed(self.tabletop_tasks)}; "
                "`ocrrl params --preset default --tasks ...` writes the parameters of the tasks that you name"
            )
        return self.tabletop_tasks[tabletop_task]

    def _layer(self, section: str, key: str) -> dict[str, Any]:
        """The values of `section` under `key`: `shared` or a tabletop task."""
        entries = self._sections.get(section)
        if not isinstance(entries, dict) or key not in entries:
            known = listed(entries) if isinstance(entries, dict) else "nothing"
            raise ParamsError(
                f"{self._source}: {section} must hold {key}, got {known}; `ocrrl params` without a preset adds {{}}"
            )
        if not isinstance(entries[key], dict):
            raise ParamsError(f"{self._source}: {section}.{key} must be a mapping, got {shown(entries[key])}")
        return entries[key]


def renamed_keys(sections: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each dotted key of `sections` that has another name since version 0.2, and that name."""
    for section, names in RENAMED.items():
        entries = sections.get(section)
        for layer, values in entries.items() if isinstance(entries, Mapping) else ():
            for key in values if isinstance(values, Mapping) else ():
                if key in names:
                    yield f"{section}.{layer}.{key}", names[key]


def config_class(section: str) -> type:
    """The dataclass that validates `section`, imported when asked for."""
    module, name = (CONFIGS | MULTITASK_CONFIGS)[section].split(":")
    return getattr(importlib.import_module(module), name)


def chosen_cameras(cameras: CameraSizes | None = None, path: Path = PARAMS_FILE) -> CameraSizes:
    """`cameras`, or without them those of the params.yaml at `path`, or where there is none the default ones.

    Raises ValueError for cameras that cannot be, ParamsError for a file that is wrong.
    """
    if cameras is not None:
        return checked_cameras(cameras, "cameras")
    return Params.read(path, graph=False).cameras if path.is_file() else DEFAULT_CAMERAS


def require_file(path: Path) -> None:
    """ParamsError with the next step unless there is a file at `path`."""
    if not path.is_file():
        known = path.with_name("dvc.yaml").is_file()
        here = "" if known else f"run in the project's folder ({Path.cwd()} is none), or "
        raise ParamsError(f"{path} must exist here; {here}write it with `ocrrl params --preset default`")


def register_own_tasks(path: Path = PARAMS_FILE) -> None:
    """Make the tabletop tasks of the user's own that `path` names known; a file that is wrong is left to whoever needs it."""
    with suppress(ParamsError):
        if path.is_file():
            Params.read(path, graph=False)


def sections_in(path: Path) -> dict[str, Any]:
    """The mapping in `path`; ParamsError for anything else."""
    try:
        content = read_yaml(path)
    except ValueError as error:
        raise ParamsError(str(error)) from error
    if not isinstance(content, dict):
        raise ParamsError(f"{path} must hold sections, got {shown(content)}")
    return content
