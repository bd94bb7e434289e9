"""What a report is made of: the files of a round, read into plain values; what is not there is named, not fatal.

Schemas: `evaluate` and `evaluate_retrained` metrics, `episodes.json` with films, `curve.json`, ingest, replay and
rollout reports, each as its stage writes it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Json = dict[str, Any]
TWINS = ("twin", "wire_twin", "rehearsal")
NOT_A_CELL = ("tabletop_task", "round", "residual_seed")


@dataclass(frozen=True)
class ReportInputs:
    """Where the parts of one tabletop task's report lie; of evaluations the first is the one rolled out."""

    tabletop_task: str
    round: int = 0
    evaluations: tuple[Path, ...] = ()
    """Metrics of `evaluate`, one file a residual seed."""
    evaluation_episodes: tuple[Path, ...] = ()
    """Folders with `episodes.json` and `<cell>.npz`, in the order of `evaluations`."""
    residuals: tuple[Path, ...] = ()
    """Folders of trained residuals, each with its `curve.json`."""
    retrained_evaluation: Path | None = None
    ingest_report: Path | None = None
    replay_report: Path | None = None
    rollout_report: Path | None = None


@dataclass(frozen=True)
class Film:
    """One initial state filmed in both arms: frames (T, height, width, 3) uint8 by arm."""

    cell: str
    seed: int
    arms: dict[str, np.ndarray]


@dataclass(frozen=True)
class Measured:
    """The values read; a part that is missing is empty or None, and named in `missing`."""

    tabletop_task: str
    round: int
    evaluations: list[Json]
    episodes: list[Json]
    films: list[Film]
    curves: dict[str, list[Json]]
    """Points of the learning curve by residual folder."""
    retrained: Json | None
    ingest: Json | None
    replay: Json | None
    rollouts: Json | None
    missing: list[str]

    @property
    def main(self) -> Json:
        """The evaluation of the residual that is rolled out, empty if there is none."""
        return self.evaluations[0] if self.evaluations else {}

    @property
    def main_cells(self) -> dict[str, Json]:
        """The main evaluation by cell, the training simulator first."""
        return cells_of(self.main)

    @property
    def main_episodes(self) -> dict[str, Json]:
        """The main evaluation's single episodes by cell, in the order of `main_cells`."""
        cells = self.episodes[0]["cells"] if self.episodes else {}
        return {cell: cells[cell] for cell in sorted(cells, key=_cell_order)}

    @property
    def retrained_cells(self) -> dict[str, Json]:
        """The retrained VLA's evaluation on this tabletop task, by cell."""
        cells = (self.retrained or {}).get("tabletop_tasks", {}).get(self.tabletop_task, {})
        return {cell: cells[cell] for cell in sorted(cells, key=_cell_order)}


def cells_of(evaluation: Json) -> dict[str, Json]:
    """The entries of an `evaluate` metrics file by cell, the training simulator first."""
    return {cell: evaluation[cell] for cell in sorted(evaluation, key=_cell_order) if cell not in NOT_A_CELL}


def cell_label(cell: str) -> str:
    """How a cell is called in tables and plots, so that no twin passes for a robot."""
    if cell == "sim":
        return "sim"
    if cell in TWINS:
        return f"{cell} (simulated)"
    return f"{cell} (robot)"


def read_inputs(inputs: ReportInputs) -> Measured:
    """Read every part that is there. Raises ValueError for a file that is there and is not JSON."""
    missing: list[str] = []

    def read(what: str, path: Path | None) -> Json | None:
        if path is None or not path.is_file():
            missing.append(what if path is None else f"{what} ({path})")
            return None
        try:
            return json.loads(path.read_text())
        except ValueError as error:
            raise ValueError(f"{path} must be JSON, got: {error}") from error

    def read_all(what: str, paths: Iterator[Path]) -> list[tuple[Path, Json]]:
        found = [(path, read(what, path)) for path in paths]
        if not found:
            missing.append(what)
        return [(path, content) for path, content in found if content is not None]

    evaluations = read_all("evaluation of base and base + residual", iter(inputs.evaluations))
    episodes = read_all("single episodes", (folder / "episodes.json" for folder in inputs.evaluation_episodes))
    curves = read_all("learning curves", (folder / "curve.json" for folder in inputs.residuals))
    films = [film for folder in inputs.evaluation_episodes[:1] for film in _read_films(folder)]
    if not films:
        missing.append("films")
    return Measured(
        tabletop_task=inputs.tabletop_task,
        round=inputs.round,
        evaluations=[content for _, content in evaluations],
        episodes=[content for _, content in episodes],
        films=films,
        curves={path.parent.name: content["points"] for path, content in curves},
        retrained=read("evaluation of the retrained VLA", inputs.retrained_evaluation),
        ingest=read("ingest report", inputs.ingest_report),
        replay=read("replay report", inputs.replay_report),
        rollouts=read("rollout report", inputs.rollout_report),
        missing=missing,
    )


def _read_films(folder: Path) -> Iterator[Film]:
    for path in sorted(folder.glob("*.npz"), key=lambda path: _cell_order(path.stem)):
        arms: dict[int, dict[str, np.ndarray]] = {}
        with np.load(path, allow_pickle=False) as file:
            for name in file.files:
                arm, seed = name.rsplit("_", 1)
                arms.setdefault(int(seed), {})[arm] = file[name]
        for seed in sorted(arms):
            yield Film(path.stem, seed, arms[seed])


def _cell_order(cell: str) -> tuple[int, str]:
    known = ("sim", *TWINS)
    return (known.index(cell) if cell in known else len(known), cell)
