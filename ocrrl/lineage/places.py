"""The kind of artifact at a path of `data/`, in the current layout and that of version 0.1."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from ocrrl.layout import DATA, MULTITASK
from ocrrl.lineage.old_layout import new_place

_KINDS = {
    "episodes": "episodes",
    "normalised": "episodes",
    "dataset": "dataset",
    "transitions": "transitions",
    "accepted": "accepted replays",
    "vla": "VLA",
    "residual": "residual",
    "models": "model",
    "rollouts": "rollouts",
    "sessions": "session",
    "training_set": "training set",
    "metrics": "metrics",
    "evaluation": "evaluation",
    "reports": "report",
}


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
