"""What the report on all tabletop tasks is made of: each one's evaluation, and the multi-task VLA's."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from ocrrl.report.inputs import EvaluatedTask, ReportInputs, read_evaluated
from ocrrl.report.json_reader import Json, JsonReader
from ocrrl.report.paper_results import TABLE_1

CELLS = ("sim", "twin")
RETRAINED_CELL = "twin"
RETRAINED_ARMS = ("before", "retrained", "demonstrations_only", "base_rollouts")
CONTROL_ARMS = ("before", "demonstrations_only", "base_rollouts")

SolvedPair = tuple[int, bool, bool]
"""Seed of an initial state; whether the first arm succeeded from it; whether the second did."""
CompareAverages = Callable[[Sequence[Sequence[SolvedPair]]], Mapping[str, Any]]
"""`ocrrl.rollouts.statistics.average_difference`, given since a report does not know how rollouts are made."""


@dataclass(frozen=True)
class MultitaskInputs:
    """Where the parts lie."""

    tasks: tuple[ReportInputs, ...]
    """Read of each: evaluations, evaluation_episodes and residuals in the order of the residual seeds, replay_report."""
    retrained_evaluation: Path | None = None
    """Metrics of `evaluate_multitask`."""
    round: int = 0


@dataclass(frozen=True)
class MultitaskMeasured:
    """The values read; a part that is missing is empty or None, and named in `missing`."""

    round: int
    tasks: list[EvaluatedTask]
    retrained: dict[str, Json]
    """Arms of the multi-task VLA in the twin, by tabletop task."""
    residual_averages: dict[str, Json]
    """By cell: base + residual minus base, averaged over the tabletop tasks; only where every one was evaluated."""
    retrained_averages: dict[str, Json]
    """By control arm: the multi-task VLA minus that arm, averaged likewise."""
    missing: list[str]

    @property
    def covers_all_tasks(self) -> bool:
        """Whether the average is over the five tabletop tasks of the paper, and can stand beside its average."""
        return {task.tabletop_task for task in self.tasks} == set(TABLE_1)

    def average(self, cell: str, arm: str) -> tuple[float, float | None] | None:
        """Mean success rate over the tabletop tasks, and its standard deviation over residual seeds where there are several.

        None unless every tabletop task was evaluated with the same number of residuals.
        """
        by_task = [task.rates(cell, arm) for task in self.tasks]
        if not by_task or not all(by_task) or len({len(rates) for rates in by_task}) > 1:
            return None
        by_seed = [fmean(rates) for rates in zip(*by_task, strict=True)]
        return fmean(by_seed), stdev(by_seed) if len(by_seed) > 1 else None

    def retrained_average(self, arm: str) -> float | None:
        """Mean success rate of `arm` over the tabletop tasks, None unless it was evaluated on every one."""
        summaries = [self.retrained.get(task.tabletop_task, {}).get(arm) for task in self.tasks]
        if not summaries or not all(summaries):
            return None
        return fmean(summary["success_rate"] for summary in summaries if summary)


def read_multitask_inputs(inputs: MultitaskInputs, compare: CompareAverages) -> MultitaskMeasured:
    """Read every part that is there. Raises ValueError for a file that is there and is not JSON."""
    readers = [JsonReader(task.tabletop_task) for task in inputs.tasks]
    tasks = [read_evaluated(task, reader) for task, reader in zip(inputs.tasks, readers, strict=True)]
    last = JsonReader()
    evaluation = last.read("evaluation of the multi-task VLA", inputs.retrained_evaluation) or {}
    slugs = [task.tabletop_task for task in tasks]
    cells = {slug: evaluation.get("tabletop_tasks", {}).get(slug, {}) for slug in slugs}
    retrained = {slug: found[RETRAINED_CELL] for slug, found in cells.items() if RETRAINED_CELL in found}
    if evaluation:
        last.missing += [f"{slug}: evaluation of the multi-task VLA" for slug in slugs if slug not in retrained]
    seeds = [len(task.evaluation_episodes) for task in inputs.tasks]
    pairs = {cell: [_residual_pairs(task, cell, n) for task, n in zip(tasks, seeds, strict=True)] for cell in CELLS}
    pairs |= {arm: [_retrained_pairs(evaluation, slug, arm) for slug in slugs] for arm in CONTROL_ARMS}
    averages = {name: dict(compare(found)) for name, found in pairs.items() if found and all(found)}
    return MultitaskMeasured(
        round=inputs.round,
        tasks=tasks,
        retrained=retrained,
        residual_averages={cell: averages[cell] for cell in CELLS if cell in averages},
        retrained_averages={arm: averages[arm] for arm in CONTROL_ARMS if arm in averages},
        missing=[name for reader in (*readers, last) for name in reader.missing],
    )


def _residual_pairs(task: EvaluatedTask, cell: str, seeds: int) -> list[SolvedPair]:
    """Base and base + residual from the same initial states, of every residual seed; none where one of the `seeds` lacks."""
    if len(task.episodes) < seeds:
        return []
    return [
        (episode["seed"], episode["base_success"], episode["residual_success"])
        for evaluation in task.episodes
        for episode in evaluation["cells"].get(cell, {}).get("episodes", [])
    ]


def _retrained_pairs(evaluation: Json, slug: str, arm: str) -> list[SolvedPair]:
    """`arm` and the multi-task VLA from the same initial states; ValueError where they are not the same."""
    arms = evaluation.get("episodes", {}).get(slug, {}).get(RETRAINED_CELL, {})
    if not {arm, "retrained"} <= set(arms):
        return []
    first, second = arms[arm], arms["retrained"]
    if [episode["seed"] for episode in first] != [episode["seed"] for episode in second]:
        raise ValueError(f"{slug}: {arm} and retrained must have run the same seeds in the same order")
    return [(a["seed"], a["success"], b["success"]) for a, b in zip(first, second, strict=True)]
