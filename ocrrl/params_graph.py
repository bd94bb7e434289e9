"""graph.yaml: the tabletop tasks, residual seeds and rounds for which dvc.yaml makes stages.

DVC's templates cannot combine lists. The whole file follows from `tabletop_tasks` in params.yaml, which the user edits, and from
the number of seeds and rounds; `ocrrl params` writes it.
"""

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ocrrl.code_units import installed_graph, is_installed
from ocrrl.interface.names import require_name, require_seed, shown
from ocrrl.tabletop.registry import code_path

GRAPH_FILE = Path("graph.yaml")


@dataclass(frozen=True)
class Recordings:
    """An entry of `tabletop_tasks`, the user's section of params.yaml."""

    episodes: str
    """The folder of the demonstrations that the loop starts from."""
    module: str = ""
    """Of a task of the user's own outside the package: the dotted name of its module, `my_lab.push_puck`."""
    rollouts: tuple[str, ...] = ()
    """Folders of rollouts that were collected on a robot, which `training_set` adds to the demonstrations."""
    evaluations: tuple[str, ...] = ()
    """Folders of sessions of `ocrrl evaluate` that have ended, which the reports show."""
    latency: str = ""
    """A file of `ocrrl measure-latency`, where the task's VLAs answer slowly: their chunks come late in training as on the arm."""

    sim_vla: str = ""
    """A folder of `ocrrl import-vla` that `finetune` publishes as the sim VLA, and trains none."""
    real_vla: str = ""
    """As `sim_vla`, for the real domain."""

    def __post_init__(self) -> None:
        imported = {f"{domain}_vla": (path,) for domain, path in self.imported_vlas().items()}
        latency = (self.latency,) if self.latency else ()
        folders = {"episodes": (self.episodes,), "rollouts": self.rollouts, "evaluations": self.evaluations}
        named = {**folders, "latency": latency, **imported}
        for name, folders in named.items():
            for folder in folders:
                if not folder.strip() or not folder.isprintable():
                    raise ValueError(f"{name} must be a path, got {shown(folder)}")

    def imported_vlas(self) -> dict[str, str]:
        """The folders of `sim_vla` and `real_vla` by domain, those that are named."""
        return {domain: path for domain, path in (("sim", self.sim_vla), ("real", self.real_vla)) if path}


GRAPH_SECTIONS = (
    "tasks",
    "demonstrations",
    "finetunes",
    "loops",
    "residuals",
    "rounds",
    "later_loops",
    "later_rounds",
    "last_round",
    "reports",
    "own_tasks",
    "latency",
    "evaluations_folder",
)
PATHS = (
    "episodes",
    "rollouts",
    "rollouts_folder",
    "evaluations",
    "evaluations_folder",
    "earlier",
    "code",
    "own_tasks",
    "module",
    "latency",
    "sim_vla",
    "real_vla",
    "vla",
    "unit",
)
"""The keys whose values are no names: DVC puts them into dependencies, not into commands."""
_NO_SESSIONS, _NO_ROUND = "ocrrl/report/evaluation_sessions.py", "ocrrl/report/rounds.py"
MOST_OF_EACH = 1000
"""Residual seeds, rounds: DVC takes minutes for the stages of fewer."""


def graph_sections(tabletop_tasks: Mapping[str, Recordings], residual_seeds: int, rounds: int) -> dict[str, Any]:
    """`GRAPH_SECTIONS` for the section `tabletop_tasks` of params.yaml. Keys name the stages; round 0's bear no round.

    A fine-tuning is one tabletop task and domain: `vla` is the imported VLA, a file of code where there is none.
    A loop is one tabletop task in one round: `code` is the task's own file, `rollouts_folder` the folder with its own
    `rollouts`, a file of code where there are none, since DVC needs a path. A residual is one training. A report of all tasks is
    one round's: `earlier` is that of the round before, whose table over rounds it goes on with.

    Raises ValueError for fewer than one seed or round, and for more than `MOST_OF_EACH`.
    """
    if residual_seeds < 1 or rounds < 1:
        raise ValueError(f"residual seeds and rounds must each be at least 1, got {residual_seeds} and {rounds}")
    if max(residual_seeds, rounds) > MOST_OF_EACH:
        raise ValueError(
            f"residual seeds and rounds must each be at most {MOST_OF_EACH}, got {residual_seeds} and {rounds}"
        )
    names = [f"round{number}" for number in range(rounds)]
    loops: dict[str, Any] = {}
    for number, name in enumerate(names):
        for task, entry in tabletop_tasks.items():
            loops[f"{name}-{task}" if number else task] = {
                "task": task,
                "round": name,
                "episodes": entry.episodes,
                "code": code_path(task),
                "rollouts_folder": _common_folder(f"tabletop_tasks.{task}.rollouts", entry.rollouts)
                or "ocrrl/recordings/training_set.py",
            }
    first = {key: loop for key, loop in loops.items() if loop["round"] == names[0]}
    evaluated = {task: entry.evaluations for task, entry in tabletop_tasks.items()}
    return {
        "tasks": list(tabletop_tasks),
        "demonstrations": {
            key: {name: loop[name] for name in ("episodes", "code")}
            | {
                "evaluations_folder": _common_folder(f"tabletop_tasks.{key}.evaluations", evaluated[key])
                or _NO_SESSIONS
            }
            for key, loop in first.items()
        },
        "finetunes": {
            f"{task}-{domain}": {
                "task": task,
                "domain": domain,
                "vla": entry.imported_vlas().get(domain, "ocrrl/policies/imported_vla.py"),
            }
            for task, entry in tabletop_tasks.items()
            for domain in ("sim", "real")
        },
        "loops": loops,
        "residuals": {
            f"{key}-{seed}": {"task": loop["task"], "round": loop["round"], "seed": seed, "code": loop["code"]}
            for key, loop in loops.items()
            for seed in range(residual_seeds if key in first else 1)
        },
        "rounds": names,
        "later_loops": {
            key: {
                "task": loop["task"],
                "round": loop["round"],
                "previous": names[names.index(loop["round"]) - 1],
                "code": loop["code"],
            }
            for key, loop in loops.items()
            if key not in first
        },
        "later_rounds": names[1:],
        "last_round": names[-1],
        "reports": {
            name: {"round": name, "earlier": f"data/reports/{names[k - 1]}/multitask" if k else _NO_ROUND}
            for k, name in enumerate(names)
        },
        "own_tasks": _common_folder(
            "modules of tabletop_tasks", [code_path(t) for t, e in tabletop_tasks.items() if e.module]
        )
        or "ocrrl/tabletop/registry.py",
        "latency": _common_folder(
            "latency of tabletop_tasks", [e.latency for e in tabletop_tasks.values() if e.latency]
        )
        or "ocrrl/policies/chunk_delay.py",
        "evaluations_folder": _common_folder(
            "evaluations of tabletop_tasks", [f for own in evaluated.values() for f in own]
        )
        or _NO_SESSIONS,
    }


def graph_of_project(
    project: Path, tabletop_tasks: Mapping[str, Recordings], residual_seeds: int, rounds: int
) -> dict[str, Any]:
    """`graph_sections` as the dvc.yaml of `project` needs them: that of a checkout, or of an installed package."""
    sections = graph_sections(tabletop_tasks, residual_seeds, rounds)
    return installed_graph(sections) if is_installed(project) else sections


def _common_folder(what: str, paths: Sequence[str]) -> str:
    """The path, of several the folder that holds them all: DVC's templates take one. Empty for none.

    ValueError where that would be the whole project or all data.
    """
    if not paths:
        return ""
    common = PurePosixPath(posixpath.commonpath([posixpath.normpath(path) for path in paths]))
    if str(common) in (".", "/", "data"):
        raise ValueError(f"{what} must lie in one folder of their own, got {', '.join(paths)}")
    return str(common)


def require_names(content: Any, source: str) -> None:
    """ValueError unless every key and value of `content` is a name, a seed or a path of episodes or code.

    DVC puts them into commands that a shell runs, and into paths that it replaces. `content` is graph.yaml's, or
    `tabletop_tasks` of params.yaml.
    """
    seen: set[int] = set()  # aliases of YAML make one list stand in many places, or in itself
    if isinstance(content, dict):
        for section, value in content.items():
            require_name(f"{source}: a key", section)
            _require_names(f"{source}: {section}", value, section, seen)


def _require_names(where: str, value: Any, key: str, seen: set[int]) -> None:
    if isinstance(value, dict | list) and key != "seed":
        if id(value) in seen:
            return
        seen.add(id(value))
        for inner, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(value, dict):
                require_name(f"{where}: a key", inner)
            _require_names(f"{where}.{inner}", item, str(inner) if isinstance(value, dict) else key, seen)
    elif key in PATHS:
        if isinstance(value, str) and not (value.strip() and value.isprintable()):  # other types: by the typed reading
            raise ValueError(f"{where} must be a path, got {shown(value)}")
    elif key == "seed":
        require_seed(where, value)
    else:
        require_name(where, value)


def seeds_and_rounds(graph: Mapping[str, Any]) -> tuple[int, int]:
    """How many residual seeds and rounds `graph`, the content of graph.yaml, is for."""
    residuals, rounds = graph.get("residuals"), graph.get("rounds")
    entries = residuals.values() if isinstance(residuals, dict) else ()
    found = (entry.get("seed", 0) for entry in entries if isinstance(entry, dict))
    seeds = 1 + max((seed for seed in found if isinstance(seed, int)), default=0)
    return seeds, len(rounds) if isinstance(rounds, list) else 1
