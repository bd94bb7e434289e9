"""Reads the files of a round for a report; a missing file is named and not fatal.

Schemas: `evaluate` and `evaluate_retrained` metrics, `episodes.json` with videos, `curve.json`, ingest, replay and
rollout reports, each as its stage writes it. A report on one tabletop task is a report on a list of one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from ocrrl.interface.cells import TWINS
from ocrrl.interface.json_file import read_json_object
from ocrrl.report.evaluation_sessions import EvaluationSession, read_sessions
from ocrrl.report.json_reader import Json, JsonReader
from ocrrl.report.paper_results import TABLE_1

NOT_A_CELL = ("tabletop_task", "round", "residual_seed")
ROLLOUTS = {"corrected": "rollouts of base + residual", "base": "rollouts of the base (control)"}
CELLS = ("sim", "twin")
"""Over which several tabletop tasks are averaged."""
RETRAINED_CELL = "twin"
RETRAINED_VARIANTS = ("before", "retrained", "demonstrations_only", "base_rollouts")
CONTROL_VARIANTS = ("before", "demonstrations_only", "base_rollouts")

SolvedPair = tuple[int, bool, bool]
"""Seed of an initial state; whether the first policy succeeded from it; whether the second did."""
CompareAverages = Callable[[Sequence[Sequence[SolvedPair]]], Mapping[str, Any]]
"""`ocrrl.rollouts.statistics.average_difference`, given since a report does not know how rollouts are made."""


@dataclass(frozen=True)
class TaskInputs:
    """Where the parts of one tabletop task lie; of evaluations the first is the one rolled out. None: not part of the report."""

    tabletop_task: str
    evaluations: tuple[Path, ...] = ()
    """Metrics of `evaluate`, one file a residual seed."""
    evaluation_episodes: tuple[Path, ...] = ()
    """Folders with `episodes.json` and `<cell>.npz`, in the order of `evaluations`."""
    residuals: tuple[Path, ...] = ()
    """Folders of trained residuals, each with its `curve.json`."""
    replay_report: Path | None = None
    ingest_report: Path | None = None
    rollout_reports: tuple[Path, ...] | None = None
    """Of base + residual, of the base alone."""
    sessions: tuple[str, ...] = ()
    """Folders of evaluation sessions, of any round."""


@dataclass(frozen=True)
class ReportInputs:
    """Where the parts of a report lie."""

    tasks: tuple[TaskInputs, ...]
    round: int = 0
    retrained_evaluation: Path | None = None
    """Metrics of `evaluate_retrained` or of `evaluate_multitask`."""
    earlier: Path | None = None
    """`rounds.json` of the round before's report."""


@dataclass(frozen=True)
class Video:
    """The video of one initial state under both policies: frames (T, height, width, 3) uint8 by policy."""

    cell: str
    seed: int
    variants: dict[str, np.ndarray]


@dataclass(frozen=True)
class MeasuredTask:
    """What was measured on one tabletop task; a part that is missing is empty or None."""

    tabletop_task: str
    evaluations: list[Json] = field(default_factory=list)
    episodes: list[Json] = field(default_factory=list)
    curves: dict[str, list[Json]] = field(default_factory=dict)
    """Points of the learning curve by residual folder."""
    replay: Json | None = None
    ingest: Json | None = None
    rollouts: Json = field(default_factory=dict)
    """What was collected, by policy, those of `ROLLOUTS`."""
    videos: list[Video] = field(default_factory=list)
    """Of the residual that is rolled out."""
    harm_statement: str = ""
    """What the calibration of its gate says of its harm (`residual.restraint.learn_then_test`); empty without one."""
    sessions: list[EvaluationSession] = field(default_factory=list)
    """Of the round."""

    @property
    def by_cell(self) -> list[tuple[str, str, Json]]:
        """Cell, residual seed and entry of every evaluation, the training simulator first."""
        found = [
            (cell, str(evaluation["residual_seed"]), entry)
            for evaluation in self.evaluations
            for cell, entry in evaluation.items()
            if cell not in NOT_A_CELL
        ]
        return sorted(found, key=lambda row: _cell_order(row[0]))

    @property
    def main(self) -> Json:
        """The evaluation of the residual that is rolled out, empty if there is none."""
        return self.evaluations[0] if self.evaluations else {}

    @property
    def main_cells(self) -> dict[str, Json]:
        """The main evaluation by cell, the training simulator first."""
        return {cell: self.main[cell] for cell in sorted(self.main, key=_cell_order) if cell not in NOT_A_CELL}

    @property
    def main_episodes(self) -> dict[str, Json]:
        """The main evaluation's single episodes by cell, in the order of `main_cells`."""
        cells = self.episodes[0]["cells"] if self.episodes else {}
        return {cell: cells[cell] for cell in sorted(cells, key=_cell_order)}

    def rates(self, cell: str, variant: str) -> list[float]:
        """Success rates of `variant` by residual seed; the base is the same beside each residual and given once."""
        rates = [evaluation[cell][variant]["success_rate"] for evaluation in self.evaluations if cell in evaluation]
        return rates[:1] if variant == "base" else rates

    def rate(self, cell: str, variant: str) -> float | None:
        """The mean of `rates`, None without any."""
        rates = self.rates(cell, variant)
        return fmean(rates) if rates else None


@dataclass(frozen=True)
class Measured:
    """All that a report shows; a part that is missing is empty or None, and named in `missing`."""

    round: int
    tasks: list[MeasuredTask]
    retrained: dict[str, dict[str, Json]] = field(default_factory=dict)
    """The retrained VLA and its control variants by tabletop task and cell, the training simulator first."""
    residual_averages: dict[str, Json] = field(default_factory=dict)
    """By cell: base + residual minus base, averaged over the tabletop tasks; only where every one was evaluated."""
    retrained_averages: dict[str, Json] = field(default_factory=dict)
    """By control variant: the retrained VLA minus that variant, averaged likewise."""
    interventions: list[Json] = field(default_factory=list)
    """The episodes that somebody stepped into, of those that the retrained VLA was trained on."""
    earlier: list[Json] = field(default_factory=list)
    """The rounds before, as `rounds.of_round` has them."""
    missing: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What the report is on: the tabletop task, or how many of them."""
        return self.tasks[0].tabletop_task if self.alone else f"{len(self.tasks)} tabletop tasks"

    @property
    def alone(self) -> bool:
        """Whether the report is on one tabletop task."""
        return len(self.tasks) == 1

    @property
    def covers_all_tasks(self) -> bool:
        """Whether the average is over the five tabletop tasks of the paper, and can stand beside its average."""
        return {task.tabletop_task for task in self.tasks} == set(TABLE_1)

    def average(self, cell: str, variant: str) -> tuple[float, float | None] | None:
        """Mean success rate over the tabletop tasks, and its standard deviation over residual seeds where there are several.

        None unless every tabletop task was evaluated with the same number of residuals.
        """
        by_task = [task.rates(cell, variant) for task in self.tasks]
        if not by_task or not all(by_task) or len({len(rates) for rates in by_task}) > 1:
            return None
        by_seed = [fmean(rates) for rates in zip(*by_task, strict=True)]
        return fmean(by_seed), stdev(by_seed) if len(by_seed) > 1 else None

    def retrained_in(self, cell: str) -> list[Json]:
        """The variants beside the retrained VLA in `cell`, an entry a tabletop task, empty where it was not evaluated."""
        return [self.retrained.get(task.tabletop_task, {}).get(cell, {}) for task in self.tasks]

    def retrained_average(self, variant: str) -> float | None:
        """Mean success rate of `variant` over the tabletop tasks, None unless it was evaluated on every one."""
        summaries = [entry.get(variant) for entry in self.retrained_in(RETRAINED_CELL)]
        if not summaries or not all(summaries):
            return None
        return fmean(summary["success_rate"] for summary in summaries if summary)


def read_inputs(inputs: ReportInputs, compare: CompareAverages | None = None) -> Measured:
    """Read every part that is there; averages over several tabletop tasks are compared by `compare`.

    Raises ValueError for a file that is there and is not JSON.
    """
    readers = [JsonReader("" if len(inputs.tasks) == 1 else task.tabletop_task) for task in inputs.tasks]
    tasks = [_read_task(task, reader, inputs.round) for task, reader in zip(inputs.tasks, readers, strict=True)]
    last = JsonReader()
    evaluation = last.read("evaluation of the retrained VLA", inputs.retrained_evaluation) or {}
    retrained = {
        task.tabletop_task: {cell: cells[cell] for cell in sorted(cells, key=_cell_order)}
        for task in tasks
        if (cells := evaluation.get("tabletop_tasks", {}).get(task.tabletop_task))
    }
    if evaluation:
        slugs = [task.tabletop_task for task in tasks if task.tabletop_task not in retrained]
        last.missing += [f"{slug}: evaluation of the retrained VLA" for slug in slugs]
    averages = {}
    if compare is not None:
        seeds = [len(task.evaluation_episodes) for task in inputs.tasks]
        pairs = {cell: [_residual_pairs(task, cell, n) for task, n in zip(tasks, seeds, strict=True)] for cell in CELLS}
        pairs |= {
            variant: [_retrained_pairs(evaluation, task.tabletop_task, variant) for task in tasks]
            for variant in CONTROL_VARIANTS
        }
        averages = {name: dict(compare(found)) for name, found in pairs.items() if found and all(found)}
    return Measured(
        round=inputs.round,
        tasks=tasks,
        retrained=retrained,
        residual_averages={cell: averages[cell] for cell in CELLS if cell in averages},
        retrained_averages={variant: averages[variant] for variant in CONTROL_VARIANTS if variant in averages},
        interventions=evaluation.get("interventions", []),
        earlier=((inputs.earlier and last.read("report of the round before", inputs.earlier)) or {}).get("rounds", []),
        missing=[name for reader in (*readers, last) for name in reader.missing],
    )


def _read_task(inputs: TaskInputs, reader: JsonReader, round_number: int) -> MeasuredTask:
    evaluations = reader.read_all("evaluation of base and base + residual", inputs.evaluations)
    episodes = reader.read_all("single episodes", (folder / "episodes.json" for folder in inputs.evaluation_episodes))
    curves = reader.read_all("learning curves", (folder / "curve.json" for folder in inputs.residuals))
    videos = [video for folder in inputs.evaluation_episodes[:1] for video in _read_videos(folder)]
    if not videos:
        reader.lacks("videos")
    reports = inputs.rollout_reports
    return MeasuredTask(
        tabletop_task=inputs.tabletop_task,
        evaluations=[content for _, content in evaluations],
        episodes=[content for _, content in episodes],
        curves={_residual_of(path): content["points"] for path, content in curves},
        replay=reader.read("replay report", inputs.replay_report),
        ingest=inputs.ingest_report and reader.read("ingest report", inputs.ingest_report),
        rollouts={
            policy: content[policy]
            for _, content in (() if reports is None else reader.read_all("rollout report", reports))
            for policy in ROLLOUTS
            if policy in content
        },
        videos=videos,
        harm_statement=_harm_statement(inputs.residuals),
        sessions=read_sessions(inputs.tabletop_task, f"round{round_number}", inputs.sessions),
    )


def _harm_statement(residuals: Sequence[Path]) -> str:
    """Of the first residual's config.json; one that is not there was named with its curve."""
    config = next((read_json_object(path) for r in residuals[:1] if (path := r / "config.json").is_file()), {})
    return ((config.get("gate") or {}).get("calibration") or {}).get("statement", "")


def _residual_of(path: Path) -> str:
    """`residual_0` of a file in `data/residual_0/<round>/<tabletop task>`."""
    return next((part for part in reversed(path.parts) if part.startswith("residual_")), path.parent.name)


def _residual_pairs(task: MeasuredTask, cell: str, seeds: int) -> list[SolvedPair]:
    """Base and base + residual from the same initial states, of every residual seed; none where one of the `seeds` lacks."""
    if len(task.episodes) < seeds:
        return []
    return [
        (episode["seed"], episode["base_success"], episode["residual_success"])
        for evaluation in task.episodes
        for episode in evaluation["cells"].get(cell, {}).get("episodes", [])
    ]


def _retrained_pairs(evaluation: Json, slug: str, variant: str) -> list[SolvedPair]:
    """`variant` and the retrained VLA from the same initial states; ValueError where they are not the same."""
    variants = evaluation.get("episodes", {}).get(slug, {}).get(RETRAINED_CELL, {})
    if not {variant, "retrained"} <= set(variants):
        return []
    first, second = variants[variant], variants["retrained"]
    if [episode["seed"] for episode in first] != [episode["seed"] for episode in second]:
        raise ValueError(f"{slug}: {variant} and retrained must have run the same seeds in the same order")
    return [(a["seed"], a["success"], b["success"]) for a, b in zip(first, second, strict=True)]


def _read_videos(folder: Path) -> Iterator[Video]:
    for path in sorted(folder.glob("*.npz"), key=lambda path: _cell_order(path.stem)):
        variants: dict[int, dict[str, np.ndarray]] = {}
        with np.load(path, allow_pickle=False) as file:
            for name in file.files:
                variant, seed = name.rsplit("_", 1)
                variants.setdefault(int(seed), {})[variant] = file[name]
        for seed in sorted(variants):
            yield Video(path.stem, seed, variants[seed])


def _cell_order(cell: str) -> tuple[int, str]:
    known = ("sim", *TWINS)
    return (known.index(cell) if cell in known else len(known), cell)
