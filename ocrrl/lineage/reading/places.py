"""The kind of artifact at a path of `data/`, in the current layout and that of version 0.1."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from ocrrl.layout import DATA, MULTITASK

_OLD_OUTS = (
    *("datasets/round*/*", "episodes/*/normalised", "evaluations/round*/*", "metrics/round*/*/*", "models/round*/*/*"),
    *("replay/round*/*", "rollouts/round*/*", "training_sets/round*/*"),
)

_ROUND = r"(?P<round>round[0-9]+)"
_TASK = r"(?P<task>[a-z0-9][a-z0-9_]*?)"
# The old place of a folder or file below data/, and its new one. Deeper paths keep what follows.
_MOVES = tuple(
    (re.compile(rf"{old}(?=/|$)"), new)
    for old, new in (
        (rf"episodes/{_TASK}/normalised", "normalised/round0/{task}"),
        (rf"datasets/{_ROUND}/{_TASK}_(?P<domain>sim|real)", "dataset_{domain}/{round}/{task}"),
        (rf"replay/{_ROUND}/{_TASK}\.zarr", "transitions/{round}/{task}.zarr"),
        (rf"models/{_ROUND}/{_TASK}/(?P<model>vla_[a-z0-9_]+|residual_[0-9]+)", "{model}/{round}/{task}"),
        (rf"evaluations/{_ROUND}/{_TASK}-(?P<seed>[0-9]+)", "evaluation_{seed}/{round}/{task}"),
        (
            rf"metrics/{_ROUND}/evaluate/{_TASK}-(?P<seed>[0-9]+)\.json",
            "metrics/evaluate_{seed}/{round}/{task}.json",
        ),
        (rf"metrics/{_ROUND}/(?P<stage>[a-z_]+)/{_TASK}\.json", "metrics/{stage}/{round}/{task}.json"),
        (rf"rollouts/{_ROUND}/{_TASK}_(?P<policy>corrected|base)", "rollouts_{policy}/{round}/{task}"),
        (
            rf"training_sets/{_ROUND}/{_TASK}_(?P<name>retrained|base_rollouts)",
            "training_set_{name}/{round}/{task}",
        ),
    )
)
_KINDS = {
    "episodes": "episodes",
    "normalised": "episodes",
    "dataset": "dataset",
    "transitions": "transitions",
    "accepted": "accepted replays",
    "vla": "VLA",
    "imported": "imported VLA",
    "residual": "residual",
    "models": "model",
    "rollouts": "rollouts",
    "sessions": "session",
    "training_set": "training set",
    "metrics": "metrics",
    "evaluation": "evaluation",
    "reports": "report",
}


def new_place[P: PurePath](path: P) -> P:
    """Where `path`, relative to the project's root, lies in the new layout; itself if the old and new places are the same.

    `path` may be an output of a stage, or anything inside one.
    """
    if path.parts[:1] != ("data",):
        return path
    below = "/".join(path.parts[1:])
    for old, new in _MOVES:
        if found := old.match(below):
            return type(path)("data", new.format(**found.groupdict()) + below[found.end() :])
    return path


def old_outs(data: Path) -> list[Path]:
    """What lies at an old place below the folder `data`: outs of stages, whole; sorted."""
    found = {path for pattern in _OLD_OUTS for path in data.glob(pattern)}
    return sorted(
        path for path in found if new_place(relative := PurePath(data.name, path.relative_to(data))) != relative
    )


def require_new_layout(data: Path) -> None:
    """ValueError with the next step where something below the folder `data` lies as version 0.1 left it."""
    if found := old_outs(data):
        raise ValueError(
            f"{found[0]} must lie at {new_place(found[0])} in this version; `ocrrl migrate` brings the folder over"
        )


@dataclass(frozen=True)
class Place:
    """The parts of a path `data/<kind>_<variant>/<round>/<tabletop task>`, each empty where the path has none."""

    kind: str
    """What it is: VLA, residual, dataset, episodes, ...; "data" where the layout has no place for it."""
    variant: str = ""
    """Which of its kind: `real` of a dataset, `retrained` of a VLA, the seed of a residual."""
    round: str = ""
    tabletop_task: str = ""

    @property
    def source(self) -> str:
        """How datasets name a folder of rollouts in their episodes' sources: `cube_lift_corrected`."""
        return f"{self.tabletop_task}_{self.variant}"


def here(path: str) -> str:
    """Where what lay at `path` in version 0.1 lies now; `path` where that is the same."""
    return str(new_place(PurePosixPath(path)))


def place_of(path: str) -> Place:
    """The place that `path`, relative to the project, has in the layout."""
    parts = PurePosixPath(here(path)).parts
    if len(parts) < 2 or parts[0] != DATA.name:
        return Place("data")
    if parts[1] == "models" and len(parts) > 2:  # published: data/models/vla_retrained
        parts = (parts[0], parts[2], "", MULTITASK)
    name = next((name for name in _KINDS if parts[1] == name or parts[1].startswith(f"{name}_")), "")
    kind = _KINDS.get(name, "model" if path.startswith(f"{DATA.name}/models/") else "data")
    return Place(kind, parts[1].removeprefix(name).removeprefix("_"), *parts[2:4])
