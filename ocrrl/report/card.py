"""`ocrrl card`: a model card in Markdown for LeRobot and the Hugging Face hub, from lineage and metrics."""

import os
from collections import Counter
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import yaml

from ocrrl import files
from ocrrl.interface.cells import TWINS
from ocrrl.layout import DATA
from ocrrl.lineage.datasets import DATASETS, MODELS, read_json_in, trained_on
from ocrrl.lineage.episodes import EpisodeFile
from ocrrl.lineage.graph import Artifact, Stage
from ocrrl.lineage.lineage import Lineage, trace
from ocrrl.lineage.mermaid import lineage_mermaid
from ocrrl.lineage.model_results import Results, results_of
from ocrrl.lineage.project import find_project
from ocrrl.lineage.remote_models import RemoteModel, remote_models
from ocrrl.lineage.wording import params_by_section, run_text, value_text
from ocrrl.printable import code_span, markdown_text, one_line
from ocrrl.report.table import Table, markdown_table
from ocrrl.report.values import SUCCESS_COLUMNS, VARIANT_LABELS, cell_label, points, success_columns

SIMULATOR = "sim"


def write_card(path: str, out: Path | None = None) -> Path:
    """Write the card of the model at `path` to `out`, by default data/cards/<name>.md of its project; where it went.

    ValueError for what is no model, and for an `out` that is no file or lies in something that DVC tracks.
    """
    project, relative = find_project(path)
    lineage = trace(project, relative)
    top = lineage.tree.top
    if top.kind not in MODELS:
        raise ValueError(f"{relative} must be a model, a VLA or a residual, got {top.kind}")
    name = _name(relative).replace("/", "-")
    target = out or project.root / DATA / "cards" / f"{name}.md"
    absolute = target.absolute()
    inside = [tracked for tracked in project.files.outs if absolute.is_relative_to(project.root / tracked)]
    if inside:
        raise ValueError(f"--out must not lie in what DVC tracks, got {target} in {inside[0]}")
    if target.exists() and not target.is_file():  # the file takes the target's place, a device's too
        raise ValueError(f"--out must be a file or nothing yet, got {target}, a folder or a device")
    files.write_bytes(target, model_card(lineage, results_of(project, relative, top.hash)).encode())
    return Path(os.path.relpath(target))


def _name(path: str) -> str:
    return path.removeprefix(f"{DATA.name}/").removeprefix("models/")


def model_card(lineage: Lineage, results: Results) -> str:
    """The card's text."""
    used = _training_episodes(lineage)
    cells = _cells(used, results)
    sections = [
        _front_matter(lineage, cells),
        f"# {markdown_text(_name(lineage.tree.top.path))}\n",
        *_what_it_is(lineage, cells),
        *_results(results),
        *_training_data(used),
        "## How it was made\n",
        f"```mermaid\n{lineage_mermaid(lineage)}\n```\n",
        *_parameters(lineage),
        *_limits(lineage, results, cells),
        *_reproduce(lineage),
        *_hashes(lineage),
    ]
    return "\n".join(sections)


def _front_matter(lineage: Lineage, cells: list[str]) -> str:
    top, tasks = lineage.tree.top, lineage.tree.tabletop_tasks
    residual = top.kind == "residual"
    tags = ["robotics", "residual-policy" if residual else "vision-language-action", *_policy_type(lineage), *tasks]
    values: dict[str, Any] = {
        "license": "apache-2.0",
        "library_name": "ocrrl" if residual or top.path in _remote(lineage) else "lerobot",
        "pipeline_tag": "robotics",
        "tags": list(dict.fromkeys([*tags, "ocrrl"])),
        "datasets": [dataset.path for dataset in trained_on(lineage.tree, top)],
        "cell": ", ".join(cells) or None,
        "model_name": _name(top.path),
        "dvc_hash": top.hash,
    }
    return f"---\n{yaml.safe_dump(_shown(values), sort_keys=False, width=120)}---\n"


def _shown(value: Any) -> Any:
    """`value` with every text in it in one line and without HTML: pages show the front matter too."""
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shown(item) for item in value]
    return escape(one_line(value), quote=False) if isinstance(value, str) else value


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
    named = markdown_text(", ".join(cells))
    if cells and all(cell in TWINS or cell == SIMULATOR for cell in cells):
        yield f"**cell: {named}.** A simulated stand-in for a lab: no real robot was involved, neither in"
        yield "training nor in evaluation.\n"
    elif any(cell in TWINS for cell in cells):
        yield f"**cell: {named}.** Some of it comes from a simulated stand-in for a lab ({', '.join(TWINS)}).\n"
    elif cells:
        yield f"**cell: {named}.**\n"


def _results(results: Results) -> Iterator[str]:
    yield "## Results\n"
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
            yield f"- {cell}: {first} minus {second}, paired: {points(pair.difference)}"
        yield ""
    yield from (f"{_note(note)}.\n" for note in results.missing)


def _label(variant: str) -> str:
    return VARIANT_LABELS.get(variant, variant)


def _training_data(used: list[EpisodeFile]) -> Iterator[str]:
    yield "## Training data\n"
    if not used:
        yield "Its episodes are not known; see Limits.\n"
        return
    counts = Counter((e.kind, e.operator or "?", e.cell or "?", e.success) for e in used)
    rows = [
        (kind, operator, cell, "?" if success is None else "yes" if success else "no", str(count))
        for (kind, operator, cell, success), count in sorted(counts.items(), key=str)
    ]
    yield markdown_table(Table(("kind", "operator", "cell", "success", "episodes"), rows, 4))


def _parameters(lineage: Lineage) -> Iterator[str]:
    yield "## Parameters\n"
    for stage in lineage.tree.stages_in_order():
        for section, values in params_by_section(stage.params).items():
            listed = ", ".join(f"{name} {value_text(value)}" for name, value in values.items())
            yield f"- {code_span(stage.address)} {markdown_text(f'{section}: {listed}')}"
    yield ""


def _limits(lineage: Lineage, results: Results, cells: list[str]) -> Iterator[str]:
    yield "## Limits\n"
    if not any(cell not in TWINS and cell != SIMULATOR for cell in cells):
        yield "- How it does on a real robot is not known."
    yield "- It knows the objects, the table and the cameras of its training data; nothing else was tried."
    evaluated = {row.cell for evaluation in results.evaluations for row in evaluation.results if row.is_this_model}
    if not evaluated:
        yield "- It has not been evaluated."
    modified = sorted(
        {name for stage in lineage.tree.stages.values() if stage.run for name in stage.run.modified or ()}
    )
    if modified:
        yield f"- It was made with files that were not committed: {markdown_text(', '.join(modified))}."
    missing = [stage.address for stage in lineage.tree.stages.values() if stage.run is None]
    if missing:
        whose = "any stage" if len(missing) == len(lineage.tree.stages) else markdown_text(", ".join(missing))
        yield f"- The run record here does not tell when, where and with which libraries {whose} ran."
    yield from (f"- Not known: {_note(note)}" for note in lineage.unknown)
    yield ""


def _reproduce(lineage: Lineage) -> Iterator[str]:
    top, stage = lineage.tree.top, _maker(lineage)
    revision = stage.run.revision if stage and stage.run else None
    yield "## Reproduce\n"
    yield (
        f"    git checkout {one_line(revision)}"
        if revision
        else "    # the git revision is not on record; params and code are in dvc.lock"
    )
    if stage:
        yield f"    dvc repro {one_line(stage.address)}"
    yield f"    ocrrl lineage {one_line(top.path)} --verify\n"
    if stage:
        yield f"{markdown_text(f'{stage.address}: {run_text(stage.run)}')}.\n"
    if stage and stage.run:
        yield (
            "Libraries: "
            + markdown_text(", ".join(f"{name} {version}" for name, version in stage.run.versions.items() if version))
            + ".\n"
        )


def _hashes(lineage: Lineage) -> Iterator[str]:
    yield "## Hashes\n"
    yield "DVC's: MD5 of a file, of a folder MD5 of its manifest.\n"
    rows = [(code_span(a.path), a.kind, code_span(a.hash)) for a in lineage.tree.artifacts.values()]
    yield markdown_table(Table(("path", "kind", "hash"), rows, 3))


def _note(note: str) -> str:
    """A sentence of ours about files: its own backticks stay code, the rest is shown as it is."""
    parts = note.split("`")
    if len(parts) % 2 == 0:
        return markdown_text(note)
    return "".join(code_span(part) if number % 2 else markdown_text(part) for number, part in enumerate(parts))


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


def _cells(used: list[EpisodeFile], results: Results) -> list[str]:
    """Every cell that episodes or results come from, the simulator last."""
    rows = [row for evaluation in results.evaluations for row in evaluation.results if row.is_this_model]
    found = {episode.cell for episode in used if episode.cell} | {row.cell for row in rows}
    return sorted(found, key=lambda cell: (cell == SIMULATOR, cell))


def _policy_type(lineage: Lineage) -> list[str]:
    config = read_json_in(lineage.project.contents, lineage.tree.top, "config.json")
    kind = config.get("type") if isinstance(config, dict) else None
    if lineage.tree.top.path in _remote(lineage):
        return ["remote"]
    return [str(kind)] if kind else []


def _remote(lineage: Lineage) -> dict[str, RemoteModel]:
    """The models of the tree that policy servers have, by path."""
    return remote_models(lineage.tree, lineage.project.contents)
