"""The card of a model, for LeRobot and a Hugging Face hub: content, origin, results."""

from collections.abc import Iterator
from typing import Any

from ocrrl.hub.card_sections import (
    LIMITS,
    card_name,
    drawing,
    episodes_table,
    front_matter,
    hashes,
    note_text,
    origin_lines,
    parameters,
    record_limits,
    reproduce,
    simulated,
    sorted_cells,
)
from ocrrl.hub.licence import Licence
from ocrrl.lineage.datasets import DATASETS, MODELS, read_json_in, trained_on
from ocrrl.lineage.episodes import EpisodeFile
from ocrrl.lineage.graph import Artifact, Stage
from ocrrl.lineage.lineage import Lineage
from ocrrl.lineage.model_results import Results
from ocrrl.lineage.remote_models import RemoteModel, remote_models
from ocrrl.lineage.session_verdicts import SessionVerdict
from ocrrl.printable import code_span, markdown_text
from ocrrl.report.table import Table, markdown_table
from ocrrl.report.values import (
    SUCCESS_COLUMNS,
    VARIANT_LABELS,
    cell_label,
    lost_of_solved,
    points,
    sequential_verdict_text,
    success_columns,
)

RESULTS, TRAINING_DATA = "Results", "Training data"


def model_card(lineage: Lineage, results: Results, licence: Licence | None) -> str:
    """The card's text."""
    used = _training_episodes(lineage)
    cells = model_cells(lineage, results)
    sections = [
        _front_matter(lineage, cells, licence),
        f"# {markdown_text(card_name(lineage.tree.top.path))}\n",
        *_what_it_is(lineage, cells),
        *results_lines(results),
        *_training_data(used),
        drawing(lineage),
        *parameters(lineage),
        *_limits(lineage, results, cells),
        *reproduce(lineage, _maker(lineage)),
        *hashes(list(lineage.tree.artifacts.values())),
    ]
    return "\n".join(sections)


def model_cells(lineage: Lineage, results: Results) -> list[str]:
    """Every cell that its training episodes or its results come from, the simulator last."""
    rows = [row for evaluation in results.evaluations for row in evaluation.results if row.is_this_model]
    evaluated = {row.cell for row in (*rows, *results.sessions)}
    return sorted_cells({episode.cell for episode in _training_episodes(lineage) if episode.cell} | evaluated)


def _front_matter(lineage: Lineage, cells: list[str], licence: Licence | None) -> str:
    top, tasks = lineage.tree.top, lineage.tree.tabletop_tasks
    residual = top.kind == "residual"
    tags = ["robotics", "residual-policy" if residual else "vision-language-action", *_policy_type(lineage), *tasks]
    values: dict[str, Any] = {
        **(licence.front_matter() if licence else {}),
        "library_name": "ocrrl" if residual or top.path in _remote(lineage) else "lerobot",
        "pipeline_tag": "robotics",
        "tags": list(dict.fromkeys([*tags, "ocrrl"])),
        "datasets": [dataset.path for dataset in trained_on(lineage.tree, top)],
        "cell": ", ".join(cells) or None,
        "model_name": card_name(top.path),
        "dvc_hash": top.hash,
    }
    return front_matter(values)


def _what_it_is(lineage: Lineage, cells: list[str]) -> Iterator[str]:
    top = lineage.tree.top
    tasks = markdown_text(", ".join(sorted(lineage.tree.tabletop_tasks))) or "a tabletop task"
    if top.kind == "residual":
        yield f"A residual policy of {tasks}: a small correction to a VLA's action, from object poses and proprioception."
        yield "It was trained with TD3 in simulation alone and is no policy without its VLA.\n"
    else:
        yield f"A vision-language-action policy of {tasks}: images, proprioception and an instruction in, chunks of"
        yield "actions out (translation step [m], rotation step [rad], gripper opening in [0, 1], at 20 Hz).\n"
    if served := _remote(lineage).get(top.path):
        yield f"This folder holds no weights. {markdown_text(f'It is {served.said}')}.\n"
    training = read_json_in(lineage.project.contents, top, "training.json") or {}
    for instruction in training.get("instructions", []):
        yield f"> {markdown_text(str(instruction))}\n"
    yield from origin_lines(cells, ", neither in\ntraining nor in evaluation")


def results_lines(results: Results) -> Iterator[str]:
    """The measured success of the model, with what it is compared to."""
    yield f"## {RESULTS}\n"
    for evaluation in results.evaluations:
        yield f"{code_span(evaluation.path)} ({markdown_text(evaluation.stage)}): held-out initial states, the same for"
        yield "every policy; success with its Wilson 95% interval.\n"
        rows = []
        for row in evaluation.results:
            this = "yes" if row.is_this_model else ""
            rows.append(
                (row.tabletop_task, cell_label(row.cell), _label(row.variant), this, *success_columns(row.summary))
            )
        header = ("tabletop task", "cell", "policy", "is or stands on this model", *SUCCESS_COLUMNS)
        yield markdown_table(Table(header, rows, 4))
        for pair in evaluation.differences:
            cell, first, second = map(markdown_text, (cell_label(pair.cell), _label(pair.first), _label(pair.second)))
            harm = (
                f"; loses {lost_of_solved(*pair.lost)} of the initial states that {second} solves" if pair.lost else ""
            )
            yield f"- {cell}: {first} minus {second}, paired: {points(pair.difference)}{harm}"
        yield ""
    if results.sessions:
        yield "Blind evaluations that a sequential test ended: base + residual minus base, with the confidence sequence, which"
        yield "holds at every look; the plan was hashed before the first episode.\n"
        rows = [_session_row(verdict) for verdict in results.sessions]
        yield markdown_table(Table(("session", "cell", "verdict", "SHA-256 of the plan"), rows, 4))
    yield from (f"{note_text(note)}.\n" for note in results.missing)


def _session_row(verdict: SessionVerdict) -> tuple[str, ...]:
    said = verdict.sequential
    decided = sequential_verdict_text(said)
    return (code_span(verdict.session), cell_label(verdict.cell), decided, str(said["plan"]))


def _label(variant: str) -> str:
    return VARIANT_LABELS.get(variant, variant)


def _training_data(used: list[EpisodeFile]) -> Iterator[str]:
    yield f"## {TRAINING_DATA}\n"
    yield episodes_table(used) if used else "Its episodes are not known; see Limits.\n"


def _limits(lineage: Lineage, results: Results, cells: list[str]) -> Iterator[str]:
    yield f"## {LIMITS}\n"
    if len(simulated(cells)) == len(cells):
        yield "- How it does on a real robot is not known."
    yield "- It knows the objects, the table and the cameras of its training data; nothing else was tried."
    evaluated = any(row.is_this_model for evaluation in results.evaluations for row in evaluation.results)
    if not evaluated and not results.sessions:
        yield "- It has not been evaluated."
    yield from record_limits(lineage)


def _maker(lineage: Lineage) -> Stage | None:
    """The stage that made the model; of a copy, the one that made the model it was copied from."""
    artifact: Artifact = lineage.tree.top
    while True:
        children = lineage.tree.children(artifact)
        copied = next(
            (child for child in children if child.hash == lineage.tree.top.hash and child.kind in MODELS), None
        )
        if copied is None:
            return lineage.tree.stages.get(artifact.made_by or "")
        artifact = copied


def _training_episodes(lineage: Lineage) -> list[EpisodeFile]:
    own = {dataset.path for dataset in trained_on(lineage.tree, lineage.tree.top) if dataset.kind in DATASETS}
    top = lineage.tree.top.path
    return [
        e
        for e in lineage.episodes.files
        if top in e.models or (top not in e.models and own & set(e.datasets) and e.models)
    ]


def _policy_type(lineage: Lineage) -> list[str]:
    config = read_json_in(lineage.project.contents, lineage.tree.top, "config.json")
    kind = config.get("type") if isinstance(config, dict) else None
    if lineage.tree.top.path in _remote(lineage):
        return ["remote"]
    return [str(kind)] if kind else []


def _remote(lineage: Lineage) -> dict[str, RemoteModel]:
    """The models of the tree that policy servers have, by path."""
    return remote_models(lineage.tree, lineage.project.contents)
