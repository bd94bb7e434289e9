"""The card of a dataset, for LeRobot and a Hugging Face hub: content, statistics, origin."""

from collections.abc import Iterator
from typing import Any

from ocrrl.hub.card_sections import (
    LIMITS,
    SIMULATOR,
    card_name,
    drawing,
    episodes_table,
    front_matter,
    hashes,
    origin_lines,
    parameters,
    record_limits,
    reproduce,
    simulated,
    sorted_cells,
)
from ocrrl.hub.dataset_facts import DatasetFacts
from ocrrl.hub.licence import Licence
from ocrrl.lineage.episodes import EpisodeFile
from ocrrl.lineage.lineage import Lineage
from ocrrl.lineage.reading.places import place_of
from ocrrl.printable import code_span, markdown_text
from ocrrl.report.table import Table, markdown_table

STATISTICS, EPISODES = "Statistics", "Episodes"


def dataset_card(lineage: Lineage, facts: DatasetFacts, licence: Licence | None) -> str:
    """The card's text."""
    cells = dataset_cells(lineage, facts)
    sections = [
        _front_matter(lineage, facts, cells, licence),
        f"# {markdown_text(card_name(lineage.tree.top.path))}\n",
        *_what_it_is(lineage, facts, cells),
        *_statistics(facts),
        *_episodes(facts),
        drawing(lineage),
        *parameters(lineage),
        *_limits(lineage, facts, cells),
        *reproduce(lineage, lineage.tree.stages.get(lineage.tree.top.made_by or "")),
        *hashes(list(lineage.tree.artifacts.values())),
    ]
    return "\n".join(sections)


def dataset_cells(lineage: Lineage, facts: DatasetFacts) -> list[str]:
    """Every cell that its episodes were recorded in, or that its images were rendered in, the simulator last."""
    top = lineage.tree.top
    recorded = {e.cell for e in own_episodes(lineage) if e.cell}
    rendered = {SIMULATOR} if place_of(top.path).variant == SIMULATOR else set()
    return sorted_cells(facts.cells | recorded | rendered)


def own_episodes(lineage: Lineage) -> list[EpisodeFile]:
    """Those of the lineage that the dataset, or the folder of episodes, holds."""
    path = lineage.tree.top.path
    return [e for e in lineage.episodes.files if path in e.datasets or e.file.startswith(f"{path}/")]


def _front_matter(lineage: Lineage, facts: DatasetFacts, cells: list[str], licence: Licence | None) -> str:
    top = lineage.tree.top
    place = place_of(top.path)
    tasks = lineage.tree.tabletop_tasks or [place.tabletop_task]
    values: dict[str, Any] = {
        **(licence.front_matter() if licence else {}),
        "task_categories": ["robotics"],
        "tags": [*(["LeRobot"] if facts.is_lerobot else []), *filter(None, tasks), "ocrrl"],
        "cell": ", ".join(cells) or None,
        "dataset_name": card_name(top.path),
        "dvc_hash": top.hash,
    }
    if facts.is_lerobot:  # what a hub's viewer shows
        values["configs"] = [{"config_name": "default", "data_files": "data/*/*.parquet"}]
    return front_matter(values)


def _what_it_is(lineage: Lineage, facts: DatasetFacts, cells: list[str]) -> Iterator[str]:
    tasks = markdown_text(", ".join(sorted(lineage.tree.tabletop_tasks))) or "a tabletop task"
    if facts.is_lerobot:
        yield f"A {facts.format} of {tasks}: an action is a step of the gripper at {facts.hz:g} Hz (translation [m],"
        yield "rotation vector [rad], gripper opening in [0, 1]), in the robot's base frame."
        yield "`sidecar/` holds what no policy may see: object poses, base actions and residuals by frame.\n"
    else:
        yield f"Episodes of {tasks}, one HDF5 file each: images, gripper pose, joints, object poses with confidence, the applied"
        yield f"action at {facts.hz:g} Hz; of rollouts also base action and residual.\n"
    for instruction in facts.instructions:
        yield f"> {markdown_text(instruction)}\n"
    yield from origin_lines(cells, "\nin recording it")


def _statistics(facts: DatasetFacts) -> Iterator[str]:
    yield f"## {STATISTICS}\n"
    seconds = facts.frames / facts.hz if facts.hz else 0.0
    rows = [
        ("format", facts.format),
        ("episodes", f"{facts.count:,}"),
        ("frames", f"{facts.frames:,}"),
        ("duration", f"{seconds / 60:.1f} min at {facts.hz:g} Hz"),
        *((f"camera {camera}", f"{height} x {width} pixels") for camera, (height, width) in facts.cameras.items()),
    ]
    if facts.episodes:
        steps = [episode.steps for episode in facts.episodes]
        solved = sum(episode.success for episode in facts.episodes)
        rows.append(("frames an episode", f"{min(steps)} to {max(steps)}, mean {sum(steps) / len(steps):.0f}"))
        rows.append(("successful episodes", f"{solved} of {len(steps)}"))
    yield markdown_table(Table(("", ""), rows, 2))
    for column, values in facts.statistics.items():
        yield f"{code_span(column)} by component:\n"
        names = dict(enumerate(facts.names.get(column, ())))
        numbers = [
            (str(names.get(k, k)), *(f"{values[name][k]:.4g}" for name in ("min", "max", "mean", "std")))
            for k in range(len(values["mean"]))
        ]
        yield markdown_table(Table(("component", "min", "max", "mean", "std"), numbers, 1))


def _episodes(facts: DatasetFacts) -> Iterator[str]:
    yield f"## {EPISODES}\n"
    if not facts.episodes:
        yield "It has no sidecar: who recorded its episodes, where, and with what success is not known.\n"
        return
    yield episodes_table(facts.episodes)


def _limits(lineage: Lineage, facts: DatasetFacts, cells: list[str]) -> Iterator[str]:
    yield f"## {LIMITS}\n"
    if len(simulated(cells)) == len(cells):
        yield "- Nothing in it was measured on a real robot."
    failed = sum(not episode.success for episode in facts.episodes)
    if facts.episodes and not failed:
        yield "- It holds successful episodes alone: it says nothing of how often one succeeds."
    yield "- It shows one table, its cameras and these objects."
    yield from record_limits(lineage)
