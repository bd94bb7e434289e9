"""Sections that the cards of models and of datasets share: Markdown from a lineage."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

import yaml

from ocrrl.hub.dataset_facts import EpisodeFact
from ocrrl.interface.cells import TWINS
from ocrrl.layout import DATA
from ocrrl.lineage.episodes import EpisodeFile
from ocrrl.lineage.graph import Artifact, Stage
from ocrrl.lineage.lineage import Lineage
from ocrrl.lineage.mermaid import lineage_mermaid
from ocrrl.lineage.wording import params_by_section, run_text, value_text
from ocrrl.printable import code_span, markdown_text, one_line
from ocrrl.report.table import Table, markdown_table

SIMULATOR = "sim"
HOW_IT_WAS_MADE, LIMITS, HASHES = "How it was made", "Limits", "Hashes"
"""Headings that a card must have to be published."""
NO_ROBOT, SOME_SIMULATED = "no real robot was involved", "comes from a simulated stand-in for a lab"
"""What the card of anything from a twin or the simulator says."""


def card_name(path: str) -> str:
    """Of the artifact at `path`: `vla_retrained`, `dataset_real/round0/cube_lift`."""
    return path.removeprefix(f"{DATA.name}/").removeprefix("models/")


def front_matter(values: Mapping[str, Any]) -> str:
    """The block of YAML that a card begins with."""
    return f"---\n{yaml.safe_dump(_shown(dict(values)), sort_keys=False, width=120)}---\n"


def _shown(value: Any) -> Any:
    """`value` with every text in it in one line and without HTML: pages show the front matter too."""
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shown(item) for item in value]
    return escape(one_line(value), quote=False) if isinstance(value, str) else value


def sorted_cells(found: set[str]) -> list[str]:
    """The simulator last."""
    return sorted(found, key=lambda cell: (cell == SIMULATOR, cell))


def simulated(cells: Iterable[str]) -> list[str]:
    """Those of `cells` in which no robot moves."""
    return [cell for cell in cells if cell in TWINS or cell == SIMULATOR]


def origin_lines(cells: Sequence[str], without_robot: str) -> Iterator[str]:
    """Which cells it comes from; `without_robot` ends the sentence on what no robot was part of."""
    named = markdown_text(", ".join(cells))
    if cells and len(simulated(cells)) == len(cells):
        yield f"**cell: {named}.** A simulated stand-in for a lab: {NO_ROBOT}{without_robot}.\n"
    elif simulated(cells):
        yield f"**cell: {named}.** Some of it {SOME_SIMULATED} ({', '.join((*TWINS, SIMULATOR))}).\n"
    elif cells:
        yield f"**cell: {named}.**\n"


def episodes_table(episodes: Sequence[EpisodeFile | EpisodeFact]) -> str:
    """Counts by kind, operator, cell and success."""
    counts = Counter((e.kind, e.operator or "?", e.cell or "?", e.success) for e in episodes)
    rows = [
        (kind, operator, cell, "?" if success is None else "yes" if success else "no", str(count))
        for (kind, operator, cell, success), count in sorted(counts.items(), key=str)
    ]
    return markdown_table(Table(("kind", "operator", "cell", "success", "episodes"), rows, 4))


def drawing(lineage: Lineage) -> str:
    """The lineage, drawn."""
    return f"## {HOW_IT_WAS_MADE}\n\n```mermaid\n{lineage_mermaid(lineage)}\n```\n"


def parameters(lineage: Lineage) -> Iterator[str]:
    """Of every stage of the tree."""
    yield "## Parameters\n"
    for stage in lineage.tree.stages_in_order():
        for section, values in params_by_section(stage.params).items():
            listed = ", ".join(f"{name} {value_text(value)}" for name, value in values.items())
            yield f"- {code_span(stage.address)} {markdown_text(f'{section}: {listed}')}"
    yield ""


def record_limits(lineage: Lineage) -> Iterator[str]:
    """What the run record and the lineage leave open."""
    modified = sorted(
        {name for stage in lineage.tree.stages.values() if stage.run for name in stage.run.modified or ()}
    )
    if modified:
        yield f"- It was made with files that were not committed: {markdown_text(', '.join(modified))}."
    missing = [stage.address for stage in lineage.tree.stages.values() if stage.run is None]
    if missing:
        whose = "any stage" if len(missing) == len(lineage.tree.stages) else markdown_text(", ".join(missing))
        yield f"- The run record here does not tell when, where and with which libraries {whose} ran."
    yield from (f"- Not known: {note_text(note)}" for note in lineage.unknown)
    yield ""


def reproduce(lineage: Lineage, stage: Stage | None) -> Iterator[str]:
    """How to make it again; `stage` is the one that made it."""
    revision = stage.run.revision if stage and stage.run else None
    yield "## Reproduce\n"
    yield (
        f"    git checkout {one_line(revision)}"
        if revision
        else "    # the git revision is not on record; params and code are in dvc.lock"
    )
    if stage:
        yield f"    dvc repro {one_line(stage.address)}"
    yield f"    ocrrl lineage {one_line(lineage.tree.top.path)} --verify\n"
    if stage:
        yield f"{markdown_text(f'{stage.address}: {run_text(stage.run, with_host=False)}')}.\n"
    if stage and stage.run:
        yield (
            "Libraries: "
            + markdown_text(", ".join(f"{name} {version}" for name, version in stage.run.versions.items() if version))
            + ".\n"
        )


def hashes(artifacts: Sequence[Artifact]) -> Iterator[str]:
    """DVC's, of everything in the tree."""
    yield f"## {HASHES}\n"
    yield "DVC's: MD5 of a file, of a folder MD5 of its manifest.\n"
    rows = [(code_span(a.path), a.kind, code_span(a.hash)) for a in artifacts]
    yield markdown_table(Table(("path", "kind", "hash"), rows, 3))


def note_text(note: str) -> str:
    """A sentence of ours about files: its own backticks stay code, the rest is shown as it is."""
    parts = note.split("`")
    if len(parts) % 2 == 0:
        return markdown_text(note)
    return "".join(code_span(part) if number % 2 else markdown_text(part) for number, part in enumerate(parts))
