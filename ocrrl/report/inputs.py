"""What a report is made of: the files of a round, read into plain values; what is not there is named, not fatal.

Schemas: `evaluate` and `evaluate_retrained` metrics, `episodes.json` with films, `curve.json`, ingest, replay and
rollout reports, each as its stage writes it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np

from ocrrl.interface.cells import TWINS
from ocrrl.report.json_reader import Json, JsonReader

NOT_A_CELL = ("tabletop_task", "round", "residual_seed")
ROLLOUTS = {"corrected": "rollouts of base + residual", "base": "rollouts of the base (control)"}


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
    rollout_reports: tuple[Path, ...] = ()
    """Of base + residual, of the base alone."""


@dataclass(frozen=True)
class Film:
    """One initial state filmed in both arms: frames (T, height, width, 3) uint8 by arm."""

    cell: str
    seed: int
    arms: dict[str, np.ndarray]


@dataclass(frozen=True)
class EvaluatedTask:
    """Base and base + residual on one tabletop task, by residual seed; a part that is missing is empty or None."""

    tabletop_task: str
    round: int
    evaluations: list[Json]
    episodes: list[Json]
    curves: dict[str, list[Json]]
    """Points of the learning curve by residual folder."""
    replay: Json | None
    films: list[Film]
    """Of the residual that is rolled out."""

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

    def rates(self, cell: str, arm: str) -> list[float]:
        """Success rates of `arm` by residual seed; the base is the same beside each residual and given once."""
        rates = [evaluation[cell][arm]["success_rate"] for evaluation in self.evaluations if cell in evaluation]
        return rates[:1] if arm == "base" else rates

    def rate(self, cell: str, arm: str) -> float | None:
        """The mean of `rates`, None without any."""
        rates = self.rates(cell, arm)
        return fmean(rates) if rates else None


@dataclass(frozen=True)
class Measured(EvaluatedTask):
    """All that a tabletop task's own report shows; a part that is missing is also named in `missing`."""

    retrained: Json | None
    ingest: Json | None
    rollouts: Json
    """What was collected, by policy, those of `ROLLOUTS`."""
    missing: list[str]

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
    reader = JsonReader()
    evaluated = read_evaluated(inputs, reader)
    return Measured(
        **vars(evaluated),
        retrained=reader.read("evaluation of the retrained VLA", inputs.retrained_evaluation),
        ingest=reader.read("ingest report", inputs.ingest_report),
        rollouts={
            policy: content[policy]
            for _, content in reader.read_all("rollout report", inputs.rollout_reports)
            for policy in ROLLOUTS
            if policy in content
        },
        missing=reader.missing,
    )


def read_evaluated(inputs: ReportInputs, reader: JsonReader) -> EvaluatedTask:
    """The parts on base and residual; ValueError as `read_inputs`."""
    evaluations = reader.read_all("evaluation of base and base + residual", inputs.evaluations)
    episodes = reader.read_all("single episodes", (folder / "episodes.json" for folder in inputs.evaluation_episodes))
    curves = reader.read_all("learning curves", (folder / "curve.json" for folder in inputs.residuals))
    films = [film for folder in inputs.evaluation_episodes[:1] for film in _read_films(folder)]
    if not films:
        reader.lacks("films")
    return EvaluatedTask(
        tabletop_task=inputs.tabletop_task,
        round=inputs.round,
        evaluations=[content for _, content in evaluations],
        episodes=[content for _, content in episodes],
        curves={path.parent.name: content["points"] for path, content in curves},
        replay=reader.read("replay report", inputs.replay_report),
        films=films,
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
