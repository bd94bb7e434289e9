"""Results of a model: its rows in the metrics of the evaluating stages."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from ocrrl.lineage.datasets import MODELS, read_json
from ocrrl.lineage.graph import data_deps
from ocrrl.lineage.project import Project
from ocrrl.lineage.reading.dvc_files import LockedStage, TrackedPath
from ocrrl.lineage.reading.places import Place, place_of
from ocrrl.lineage.session_verdicts import SessionVerdict, session_verdicts

_RETRAINED = ("evaluate_retrained", "evaluate_multitask")
_STAGES = ("evaluate", *_RETRAINED)


@dataclass(frozen=True)
class Result:
    """Success of one variant in one cell."""

    tabletop_task: str
    cell: str
    variant: str
    is_this_model: bool
    """The variant is the model, or stands on it; the others are there to compare."""
    summary: dict[str, Any]
    """Successes, episodes, rate, Wilson interval, mean length, as the metrics have them."""


@dataclass(frozen=True)
class PairedDifference:
    """Success rate of the first variant minus that of the second, from the same initial states."""

    cell: str
    first: str
    second: str
    difference: dict[str, Any]
    """With its interval, as the metrics have it."""
    lost: tuple[int, int] | None = None
    """Initial states that the second solves and the first does not, and how many the second solves; None: not counted."""


@dataclass(frozen=True)
class Evaluation:
    """One file of metrics that is about the model as it is."""

    path: str
    stage: str
    results: tuple[Result, ...]
    differences: tuple[PairedDifference, ...]


@dataclass(frozen=True)
class Results:
    """All of a model, with what is missing and how to get it."""

    evaluations: tuple[Evaluation, ...]
    missing: tuple[str, ...]
    sessions: tuple[SessionVerdict, ...] = ()
    """Of evaluations until decided."""


def results_of(project: Project, path: str, value: str) -> Results:
    """The evaluations whose model had the hash `value`; a copy of the model under another path is the same model."""
    evaluations, missing = [], []
    same = {out_path for out_path, (_, out) in project.files.outs.items() if out.hash == value} | {path}
    for stage in project.files.stages.values():
        if stage.address.partition("@")[0] not in _STAGES:
            continue
        deps = data_deps(project.files, stage, project.contents)
        models = [dep for dep in deps if place_of(dep.path).kind in MODELS]
        these = [dep for dep in models if dep.hash == value]
        older = [dep for dep in models if dep.path in same and dep.hash != value]
        if older and not these:
            missing.append(f"{stage.address} evaluated another version; `dvc repro {stage.address}` evaluates this one")
        for out in stage.outs if these else ():
            content = read_json(project.contents, out.path, out.hash) if out.path.endswith(".json") else None
            if isinstance(content, dict):
                evaluations.append(_evaluation(stage, out, content, models, these))
            elif out.path.endswith(".json"):
                missing.append(f"{out.path} is not here; `dvc fetch {out.path}` would bring it")
    if not evaluations and not missing:
        stages = (stage for stage in project.pipeline.values() if stage.address.partition("@")[0] in _STAGES)
        reader = next((stage.address for stage in stages if same & set(stage.deps)), None)
        how = f"; `dvc repro {reader}` evaluates it" if reader else ""
        missing.append(f"No stage has evaluated this model{how}")
    return Results(tuple(evaluations), tuple(missing), session_verdicts(project, path))


def _evaluation(
    stage: LockedStage, out: TrackedPath, content: dict[str, Any], models: list[TrackedPath], these: list[TrackedPath]
) -> Evaluation:
    if stage.address.partition("@")[0] in _RETRAINED:
        evaluated = Counter(place_of(dep.path).round for dep in models).most_common(1)[0][0]
        cells = [
            (task, cell, by_variant, {_retraining_variant(place_of(dep.path), evaluated, task) for dep in these} - {""})
            for task, by_cell in content.get("tabletop_tasks", {}).items()
            for cell, by_variant in by_cell.items()
        ]
    else:
        task = content.get("tabletop_task", "")
        cells = [
            (task, cell, by_variant, {variant for dep in these for variant in _variants_of(place_of(dep.path), cell)})
            for cell, by_variant in content.items()
            if isinstance(by_variant, dict) and "base" in by_variant
        ]
    needed = {"successes", "episodes", "success_rate", "wilson_low", "wilson_high"}
    rows = (
        Result(task, cell, variant, variant in own, row)
        for task, cell, by_variant, own in cells
        for variant, row in by_variant.items()
        if isinstance(row, dict) and needed <= set(row)
    )
    differences = (row for _, cell, by_variant, _ in cells for row in differences_of(cell, by_variant))
    return Evaluation(out.path, stage.address, tuple(rows), tuple(differences))


def _retraining_variant(place: Place, evaluated: str, tabletop_task: str) -> str:
    """The variant that a model is in an evaluation of the round `evaluated`; empty for another task's VLA before.

    Models of that round bear their variant's name; the one before may come from an earlier round. Where one model is retrained for
    several tabletop tasks, each has its own before it.
    """
    if place.round == evaluated and place.variant != "real":
        return place.variant
    return "before" if place.tabletop_task == tabletop_task else ""


def _variants_of(place: Place, cell: str) -> tuple[str, ...]:
    """`evaluate` runs the sim VLA in sim and the real one elsewhere, alone and under the residual."""
    if place.kind == "residual":
        return ("residual",)
    return ("base", "residual") if (place.variant == "sim") == (cell == "sim") else ()


def differences_of(cell: str, by_variant: dict[str, Any]) -> list[PairedDifference]:
    """The paired differences of one cell's metrics."""
    rates = by_variant.get("differences", {})
    only_base, solved = (
        by_variant.get(name, {}).get(key) for name, key in (("paired", "only_base"), ("base", "successes"))
    )
    lost = (only_base, solved) if isinstance(only_base, int) and isinstance(solved, int) else None
    pairs = [
        *(("retrained", variant, row.get("success_rate"), None) for variant, row in rates.items()),
        ("residual", "base", by_variant.get("difference"), lost),
    ]
    return [
        PairedDifference(cell, first, second, rate, lost)
        for first, second, rate, lost in pairs
        if rate and {"difference", "low", "high"} <= set(rate)
    ]
