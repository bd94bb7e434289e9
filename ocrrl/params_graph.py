"""What dvc.yaml makes stages for: tabletop tasks, seeds and rounds, spelt out in params.yaml.

DVC's templates take one name apiece, so that every combination is an entry. All of it follows from `tabletop_tasks`, which the
user edits, and from how many seeds and rounds there are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ocrrl.interface.names import require_name, require_seed, shown


@dataclass(frozen=True)
class Recordings:
    """An entry of `tabletop_tasks`."""

    episodes: str
    """The folder of the demonstrations that the loop starts from."""


@dataclass(frozen=True)
class Loop:
    """An entry of `loops`: one tabletop task in one round."""

    task: str
    round: str
    episodes: str


@dataclass(frozen=True)
class Residual:
    """An entry of `residuals`: one training."""

    task: str
    round: str
    seed: int


@dataclass(frozen=True)
class LaterLoop:
    """An entry of `later_loops`: one tabletop task in a round after the first."""

    task: str
    round: str
    previous: str


GRAPH_SECTIONS: dict[str, Any] = {
    "tabletop_tasks": Mapping[str, Recordings],
    "tasks": list[str],
    "loops": Mapping[str, Loop],
    "residuals": Mapping[str, Residual],
    "rounds": list[str],
    "later_loops": Mapping[str, LaterLoop],
    "later_rounds": list[str],
    "last_round": str,
}
"""What dvc.yaml makes stages for, and the type of each section."""
MOST_OF_EACH = 1000
"""Residual seeds, rounds: DVC takes minutes for the stages of fewer."""


def graph_sections(tabletop_tasks: Mapping[str, Any], residual_seeds: int, rounds: int) -> dict[str, Any]:
    """`GRAPH_SECTIONS` for `tabletop_tasks`, that section: each task's episodes. Keys name the stages; round 0's bear no round.

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
    for previous, name in zip([None, *names], names, strict=False):
        for task, entry in tabletop_tasks.items():
            loop = {"task": task, "round": name, "episodes": entry.get("episodes")}
            loops[task if previous is None else f"{name}-{task}"] = loop | ({"previous": previous} if previous else {})
    residuals = {
        f"{key}-{seed}": {"task": loop["task"], "round": loop["round"], "seed": seed}
        for key, loop in loops.items()
        for seed in (range(residual_seeds) if loop["round"] == names[0] else range(1))
    }
    return {
        "tabletop_tasks": dict(tabletop_tasks),
        "tasks": list(tabletop_tasks),
        "loops": {key: {k: v for k, v in loop.items() if k != "previous"} for key, loop in loops.items()},
        "residuals": residuals,
        "rounds": names,
        "later_loops": {
            key: {name: loop[name] for name in ("task", "round", "previous")}
            for key, loop in loops.items()
            if "previous" in loop
        },
        "later_rounds": names[1:],
        "last_round": names[-1],
    }


def require_graph_names(sections: Mapping[str, Any], source: str) -> None:
    """ValueError unless every key and value of `GRAPH_SECTIONS` is a name, a seed or a folder of episodes.

    DVC puts them into commands that a shell runs, and into paths that it replaces.
    """
    seen: set[int] = set()  # aliases of YAML make one list stand in many places, or in itself
    for section in GRAPH_SECTIONS:
        if section in sections:
            _require_names(f"{source}: {section}", sections[section], section, seen)


def _require_names(where: str, value: Any, key: str, seen: set[int]) -> None:
    if isinstance(value, dict | list):
        if id(value) in seen:
            return
        seen.add(id(value))
        for inner, item in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(value, dict):
                require_name(f"{where}: a key", inner)
            _require_names(f"{where}.{inner}", item, str(inner), seen)
    elif key == "episodes":
        if isinstance(value, str) and not (
            value.strip() and value.isprintable()
        ):  # other types: by the params that read it
            raise ValueError(f"{where} must be a folder, got {shown(value)}")
    elif key == "seed":
        require_seed(where, value)
    else:
        require_name(where, value)


def seeds_and_rounds(sections: Mapping[str, Any]) -> tuple[int, int]:
    """How many residual seeds and rounds the `sections` of a params.yaml are for."""
    residuals, rounds = sections.get("residuals"), sections.get("rounds")
    entries = residuals.values() if isinstance(residuals, dict) else ()
    found = (entry.get("seed", 0) for entry in entries if isinstance(entry, dict))
    seeds = 1 + max((seed for seed in found if isinstance(seed, int)), default=0)
    return seeds, len(rounds) if isinstance(rounds, list) else 1
