"""Results of each stage as a headline and blocks of a page, from the stage's own files."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import h5py

from ocrrl.interface.renamed import current_names
from ocrrl.layout import PUBLISHED_VLA, Layout
from ocrrl.report import figures, tables
from ocrrl.report.build_report import PAGE, RESULTS, data_blocks, retrained_blocks, success_blocks, svg
from ocrrl.report.inputs import Measured, ReportInputs, TaskInputs, read_inputs
from ocrrl.report.interventions import interventions_table
from ocrrl.report.page import Block, Figure
from ocrrl.report.strips import first_episode, strips
from ocrrl.report.table import Table
from ocrrl.report.values import (
    NONE,
    SUCCESS_COLUMNS,
    VARIANT_LABELS,
    cell_label,
    number,
    percent,
    points,
    seconds,
    sequential_verdict_text,
    success_columns,
)
from ocrrl.rollouts.statistics import average_difference

RETRAINED_VLAS = ("retrained", "demonstrations_only", "base_rollouts")
KINDS = {
    "demonstration": "demonstrations",
    "rollout": "rollouts of base + residual",
    "base_rollout": "rollouts of the base alone",
}


@dataclass(frozen=True)
class StagePage:
    """`headline` is one sentence; `report` the whole Markdown of a page that is made already, in place of blocks."""

    headline: str
    blocks: Sequence[Block] = ()
    report: str = ""


def record(layout: Layout, variant: str) -> StagePage:
    folder = layout.recorded_episodes
    found, unreadable = _recordings(_there(folder))
    count = sum(int(row[1]) for row in found.rows)
    extra = f", {len(unreadable.rows)} unreadable" if unreadable.rows else ""
    blocks = [found, *([unreadable] if unreadable.rows else []), *first_episode(folder, "The first recording")]
    return StagePage(f"{count} episodes recorded{extra}", blocks)


def _recordings(folder: Path) -> tuple[Table, Table]:
    """The episode files in `folder` by cell, and those that cannot be read, with the reason."""
    cells: dict[str, list[tuple[int, bool]]] = defaultdict(list)
    unreadable = []
    for path in sorted(folder.glob("*.h5")):
        try:
            with h5py.File(path) as file:
                steps, success = len(file["action"]), file.attrs.get("success")  # type: ignore[arg-type]
                cells[str(file.attrs.get("cell", ""))].append((steps, bool(success)))
        except (OSError, KeyError) as error:
            unreadable.append((path.name, str(error)))
    rows = []
    for cell, found in cells.items():
        lengths = (seconds(f(steps for steps, _ in found)) for f in (min, median, max))
        rows.append((cell_label(cell), str(len(found)), str(sum(success for _, success in found)), *lengths))
    header = ("cell", "episodes", "successes", "shortest", "median", "longest")
    return Table(header, rows), Table(("episode", "reason"), unreadable, 2, title="Unreadable")


def ingest(layout: Layout, variant: str) -> StagePage:
    measured = _measured(layout, ingest_report=_there(layout.ingest_report))
    counts = (measured.tasks[0].ingest or {})["counts"]
    sidecar = layout.dataset("real") / "sidecar" / "episodes.json"
    cells = sorted({episode["cell"] for episode in _json(sidecar)}) if sidecar.is_file() else []
    of = f"Recorded in: {', '.join(cell_label(cell) for cell in cells) or NONE}."
    refused = f", {counts['rejected']} refused" if counts["rejected"] else ""
    return StagePage(
        f"{counts['accepted']} of {counts['accepted'] + counts['rejected']} recordings accepted{refused}",
        [*data_blocks(measured), of, *first_episode(layout.dataset("real"), "The first episode of the dataset")],
    )


def replay(layout: Layout, variant: str) -> StagePage:
    measured = _measured(layout, replay_report=_there(layout.replay_report))
    report = measured.tasks[0].replay or {}
    counts, strict = report["counts"], report.get("config", {}).get("require_success")
    return StagePage(
        f"{counts['kept']} of {counts['episodes']} episodes kept, {counts['successes']} of {counts['replayed']} replays "
        "succeeded",
        [
            *data_blocks(measured),
            *(["A replay that did not succeed is dropped."] if strict else []),
            *first_episode(layout.dataset("sim"), "The first replay, as the simulator draws it"),
        ],
    )


def rollout(policy: str, name: str, layout: Layout, variant: str) -> StagePage:
    path = _there(layout.rollout_report(policy))
    measured = _json(path)
    attempts = measured[policy]["attempts"]
    besides = {
        "failures": measured[policy].get("failures", 0),
        "labelled": measured.get("labelled", {}).get("recorded", 0),
    }
    told = [f"{count} in the folder {part}" for part, count in besides.items() if count]
    return StagePage(
        f"{attempts['successes']} of {attempts['episodes']} attempts succeeded with {name}",
        [
            *data_blocks(_measured(layout, rollout_reports=(path,))),
            f"Besides successful episodes {' and '.join(told)} are kept."
            if told
            else "Only successful episodes are kept.",
            *first_episode(layout.rollouts(policy), f"The first rollout of {name}"),
        ],
    )


def training_set(layout: Layout, variant: str) -> StagePage:
    rows, news, stepped_in = [], [], []
    for name in ("retrained", "base_rollouts"):
        folder = layout.training_set(name)
        episodes = _json(folder / "sidecar" / "episodes.json")
        stepped_in += [episode for episode in episodes if episode.get("interventions")]
        counted, steps = Counter(), Counter()
        for episode in episodes:
            mark = ", labelled" if episode.get("label_steps") else ", handed over" if episode.get("recoveries") else ""
            counted[episode["kind"], mark, episode["cell"]] += 1
            steps[episode["kind"], mark, episode["cell"]] += episode["length"]
        rows += [
            (name, KINDS.get(kind, kind) + mark, cell_label(cell), str(count), number(steps[kind, mark, cell]))
            for (kind, mark, cell), count in sorted(counted.items())
        ]
        news.append(f"{len(episodes)} episodes in {name}")
    if stepped_in:
        news.append(f"a person stepped into {len(stepped_in)} of them")
    shown = [interventions_table(stepped_in)] if stepped_in else []
    return StagePage("; ".join(news), [Table(("training set", "of", "cell", "episodes", "steps"), rows, 3), *shown])


def trained(vlas: Sequence[str], layout: Layout, variant: str) -> StagePage:
    """Of a stage that trains the VLAs of these names, or of the one that the variant names."""
    names = [variant] if variant else vlas
    trainings = {name: _json(layout.vla(name) / "training.json") for name in names}
    rows = []
    for name, training in trainings.items():
        losses = [point["loss"] for point in training["loss"] if point["loss"] is not None] or [None]
        counts = (number(training.get(what)) for what in ("steps", "episodes", "frames"))
        rows.append((VARIANT_LABELS.get(name, f"{name} VLA"), *counts, number(losses[0], 3), number(losses[-1], 3)))
    one = trainings[names[0]]
    note = (
        f"Policy type {one.get('policy', {}).get('type', 'unknown')}, batch size {one.get('batch_size')}, highest learning "
        f"rate {one.get('learning_rate')}, seed {one.get('seed')}. The loss is averaged over hundredths of the run."
    )
    table = Table(("VLA", "steps", "episodes", "frames", "first loss", "final loss"), rows, note=note)
    if elsewhere := one.get("served"):
        return StagePage(f"not trained here but served: {names[0]} VLA, {elsewhere}", [f"It is {one['note']}."])
    more = f", and {len(rows) - 1} more" if len(rows) > 1 else ""
    name, steps, *_, first, last = rows[0]
    return StagePage(
        f"loss {first} → {last} in {steps} steps: {name}{more}",
        [svg(figures.loss_figure, trainings, "Loss over optimiser steps."), table],
    )


def train_residual(layout: Layout, variant: str) -> StagePage:
    folder = layout.residual(int(variant))
    _there(folder / "curve.json")
    measured = _measured(layout, residuals=(folder,))
    config = _json(folder / "config.json")
    chosen, settings = config.get("selected") or {}, current_names("train_residual", config.get("config", {}))
    at, stop = chosen.get("transitions"), settings.get("stop_at_success")
    ending = f" or {percent(stop)} validation success" if stop is not None else ""
    caption = "Success on validation states over training, and the size of the residual."
    return StagePage(
        f"{percent(chosen.get('validation_success'))} on validation states at {number(at)} transitions, chosen",
        [
            svg(figures.learning_figure, measured.tasks, caption, panels=2),
            tables.curve_table(measured, at if at is not None else -1),
            f"{number(settings.get('validation_episodes'))} validation states, none of which training or the final evaluation "
            f"uses. Training ends at {number(settings.get('total_timesteps'))} transitions{ending}.",
        ],
    )


def evaluate(layout: Layout, variant: str) -> StagePage:
    metrics, folder = _there(layout.evaluation(int(variant))), layout.evaluation_episodes(int(variant))
    measured = _measured(layout, evaluations=(metrics,), evaluation_episodes=(folder,))
    news = [
        f"{' → '.join(percent(entry[variant]['success_rate']) for variant in tables.VARIANTS)} in {cell_label(cell)}"
        for cell, entry in reversed(measured.tasks[0].main_cells.items())
    ]
    seeds = {e["seed"] for cell in measured.tasks[0].main_episodes.values() for e in cell["episodes"]}
    named = f"Seeds of the initial states: {min(seeds)} to {max(seeds)}." if seeds else "Single episodes are not there."
    videos = [Figure("image/jpeg", lambda s=s: s.jpeg, s.caption, panels=2) for s in strips(measured.tasks)]
    return StagePage(f"{'; '.join(news)}: base → base + residual", [*success_blocks(measured), named, *videos])


def evaluate_retrained(layout: Layout, variant: str) -> StagePage:
    path = layout.retrained_evaluation
    tasks = tuple(TaskInputs(slug) for slug in _json(path)["tabletop_tasks"])
    measured = read_inputs(ReportInputs(tasks, layout.round_number, path), average_difference)
    cells = [found[cell] for found in measured.retrained.values() for cell in found]
    where = sorted({cell for found in measured.retrained.values() for cell in found})
    if measured.alone or not measured.retrained_averages.get("before"):
        rates = [[entry.get(variant, {}).get("success_rate") for variant in ("before", "retrained")] for entry in cells]
        news = "; ".join(f"{percent(before)} → {percent(after)}" for before, after in rates)
    else:
        found = measured.retrained_averages["before"]
        news = f"{percent(found['first'])} → {percent(found['second'])}, mean of {len(tasks)} tabletop tasks"
    named = ", ".join(map(cell_label, where))
    return StagePage(f"{news} in {named}: VLA alone, before → retrained", retrained_blocks(measured))


def promote(layout: Layout, variant: str) -> StagePage:
    metrics = _json(layout.promotion)
    variants = {variant: metrics[variant] for variant in ("before", "retrained")}
    rates = " → ".join(percent(summary["success_rate"]) for summary in variants.values())
    rows = [(VARIANT_LABELS[variant], *success_columns(summary)) for variant, summary in variants.items()]
    verdict = "promoted" if metrics["promoted"] else "not promoted: the pair of the round before goes on"
    tested = f"{sequential_verdict_text(metrics['verdict'])}. " if "verdict" in metrics else ""
    note = (
        f"Retrained minus before: {points(metrics.get('difference'))}. {tested}The states are those that checkpoints are selected on, "
        "none that a result is reported on. Intervals are Wilson's."
    )
    return StagePage(
        f"{verdict}; {rates} on validation states in {cell_label('twin')}",
        [Table(("policy, without residual", *SUCCESS_COLUMNS), rows, note=note)],
    )


def publish(layout: Layout, variant: str) -> StagePage:
    files = [file for file in _there(PUBLISHED_VLA).rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files) / 1e6
    said = f"{size:.1f} MB in {len(files)} files"
    return StagePage(f"{PUBLISHED_VLA}: {said}", [f"The retrained VLA is at {PUBLISHED_VLA.resolve()}, {said}."])


def report(layout: Layout, variant: str) -> StagePage:
    page, results = _there(layout.report / PAGE), _there(layout.report / RESULTS)
    text = f"{results.read_text()}\nReport: {page.resolve().as_uri()}"
    return StagePage(f"{page}: tables, figures and videos", report=text)


PAGES: dict[str, Callable[[Layout, str], StagePage]] = {
    "record": record,
    "ingest": ingest,
    "replay": replay,
    "finetune": partial(trained, ("sim", "real")),
    "train_residual": train_residual,
    "evaluate": evaluate,
    "rollout": partial(rollout, "corrected", "base + residual"),
    "rollout_base": partial(rollout, "base", "the base alone"),
    "training_set": training_set,
    "retrain": partial(trained, RETRAINED_VLAS),
    "evaluate_retrained": evaluate_retrained,
    "report": report,
    "replay_rollouts": replay,
    "promote": promote,
    "retrain_multitask": partial(trained, RETRAINED_VLAS),
    "evaluate_multitask": evaluate_retrained,
    "finetune_multitask": partial(trained, ("sim",)),
    "publish": publish,
    "report_multitask": report,
}


def _measured(layout: Layout, **parts: Any) -> Measured:
    """What a report on these parts alone would hold."""
    return read_inputs(ReportInputs((TaskInputs(layout.tabletop_task, **parts),), layout.round_number))


def _there(path: Path) -> Path:
    """`path`; FileNotFoundError with nothing but the path where there is no such file."""
    if not path.exists():
        raise FileNotFoundError(str(path))
    return path


def _json(path: Path) -> Any:
    try:
        return json.loads(_there(path).read_text())
    except ValueError as error:
        raise ValueError(f"{path} must be JSON, got: {error}") from error
