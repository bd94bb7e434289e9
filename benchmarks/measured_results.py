"""What docs/results.md is printed from: measured on this machine under data/, or recorded as JSON from an earlier run."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.table1 import require_evaluations
from ocrrl import files
from ocrrl.layout import MULTITASK, ROLLED_OUT_SEED, ROUND, Layout
from ocrrl.lineage.reading.revision import git
from ocrrl.lineage.run_record import TimingRow, timing_rows
from ocrrl.report.inputs import Measured, MeasuredTask, read_inputs
from ocrrl.report.json_reader import Json
from ocrrl.report.paper_results import TABLE_1
from ocrrl.report.table import Table
from ocrrl.report.tables import average_table, table_1
from ocrrl.stages.report import report_inputs
from ocrrl.stages.report_multitask import read_round
from ocrrl.tabletop.registry import slugs

LINE = 120  # characters; what is longer in JSON takes a line for each of its parts
CURVE_KEYS = ("transitions", "validation_success")


@dataclass(frozen=True)
class MeasuredResults:
    """The values of a page of results."""

    about: str
    """A paragraph on the run: the preset, the machine, what ran beside it."""
    source: dict[str, str]
    """Not printed: the revision and commands that the values come from, and how precise they are."""
    residual_seeds: int
    rounds: list[Measured]
    """All tabletop tasks, round by round; none where the multi-task VLA was not evaluated."""
    over_seeds: list[Table] | str
    """Table 1 and the paired average over `residual_seeds`, or what is missing for them."""
    tasks: list[Measured]
    """Each tabletop task that was asked for, in round 0; a part that was not run is empty."""
    timings: list[TimingRow]


def measure_here(residual_seeds: int, about: str, tasks: Sequence[str] | None = None) -> MeasuredResults:
    """The values of `tasks` (all) that lie under data/, without videos, single episodes and what no table of the page shows."""
    return MeasuredResults(
        about=about,
        source={"revision": (git(Path(), "rev-parse", "HEAD") or "unknown").strip(), "precision": "as measured"},
        residual_seeds=residual_seeds,
        rounds=[_reduced(found) for found in _rounds()],
        over_seeds=_over_seeds(residual_seeds),
        tasks=[_reduced(read_inputs(report_inputs(Layout(slug)))) for slug in tasks or slugs()],
        timings=timing_rows(),
    )


def record(results: MeasuredResults, path: Path) -> None:
    """Write `results` as JSON to `path`."""
    content = asdict(results) | {"about": results.about.splitlines()}
    files.write_bytes(path, (_compact_json(content) + "\n").encode())


def read_recorded(path: Path) -> MeasuredResults:
    """The values that `record` wrote. Raises ValueError for a file that holds others."""
    try:
        content = json.loads(path.read_text())
        over_seeds = content["over_seeds"]
        if not isinstance(over_seeds, str):
            over_seeds = [_table(entry) for entry in over_seeds]
        return MeasuredResults(
            about="\n".join(content["about"]),
            source=content["source"],
            residual_seeds=content["residual_seeds"],
            over_seeds=over_seeds,
            rounds=[_measured(entry) for entry in content["rounds"]],
            tasks=[_measured(entry) for entry in content["tasks"]],
            timings=[TimingRow(**row) for row in content["timings"]],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} must hold results as `python -m benchmarks.results --record {path}` writes them, "
            f"got {type(error).__name__}: {error}"
        ) from error


def _rounds() -> Iterable[Measured]:
    """Rounds from the first, as long as the multi-task VLA was evaluated."""
    for number in count():
        name = f"round{number}"
        if not Layout(MULTITASK, name).retrained_evaluation.is_file():
            return
        measured = [slug for slug in slugs() if Layout(slug, name).evaluation(ROLLED_OUT_SEED).is_file()]
        yield read_round(measured, name, [ROLLED_OUT_SEED])


def _over_seeds(residual_seeds: int) -> list[Table] | str:
    if residual_seeds < 2:
        return ""
    slugs, seeds = tuple(TABLE_1), range(residual_seeds)
    try:
        require_evaluations(slugs, ROUND, seeds)
    except FileNotFoundError as error:
        return f"Not run here. {error}."
    found = read_round(slugs, ROUND, seeds)
    return [table_1(found), average_table(found)]


def _reduced(measured: Measured) -> Measured:
    """`measured` with the values that the tables of a page show."""

    def reduced(task: MeasuredTask) -> MeasuredTask:
        episodes = [
            {"cells": {cell: {"do_no_harm": details["do_no_harm"]} for cell, details in entry["cells"].items()}}
            for entry in task.episodes
        ]
        curves = {
            name: [{key: point.get(key) for key in CURVE_KEYS} for point in curve] if measured.alone else []
            for name, curve in task.curves.items()
        }
        replay = task.replay and {key: task.replay[key] for key in ("counts", "dropped")}
        return replace(task, episodes=episodes, curves=curves, replay=replay, ingest=None, rollouts={}, videos=[])

    return replace(measured, tasks=[reduced(task) for task in measured.tasks])


def _measured(entry: Json) -> Measured:
    return Measured(**{**entry, "tasks": [MeasuredTask(**task) for task in entry["tasks"]]})


def _table(entry: Json) -> Table:
    return Table(**{**entry, "header": tuple(entry["header"]), "rows": [tuple(row) for row in entry["rows"]]})


def _compact_json(value: Any, indent: int = 0) -> str:
    """`value` as JSON: on one line where it fits, else a line for each of its parts."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if indent + len(text) <= LINE or not isinstance(value, dict | list | tuple) or not value:
        return text
    keys = (
        [json.dumps(key, ensure_ascii=False) + ": " for key in value] if isinstance(value, dict) else [""] * len(value)
    )
    parts = value.values() if isinstance(value, dict) else value
    pad, (opening, closing) = " " * (indent + 1), "{}" if isinstance(value, dict) else "[]"
    lines = (f"{pad}{key}{_compact_json(part, indent + 1)}" for key, part in zip(keys, parts, strict=True))
    return opening + "\n" + ",\n".join(lines) + "\n" + " " * indent + closing
