"""`report` and `report_multitask`: one HTML page and Markdown of a round's results on one or several tabletop tasks."""

from collections.abc import Callable, Iterator
from pathlib import Path

from ocrrl import files
from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.report import figures, harm, residual_figures, rounds, tables, verdicts
from ocrrl.report.inputs import RETRAINED_CELL, RETRAINED_VARIANTS, Measured, MeasuredTask, Video
from ocrrl.report.interventions import interventions_table
from ocrrl.report.page import Block, Figure, Page, Section, markdown, page_html, page_markdown
from ocrrl.report.sessions_table import sessions_table
from ocrrl.report.strips import clips_of, encode_video, side_by_side, strips
from ocrrl.report.values import VARIANT_LABELS, cell_label, percent
from ocrrl.tabletop.registry import slugs, tabletop_task

PAGE, RESULTS, SUCCESS, ROUNDS = "index.html", "results.md", "success.json", "rounds.json"
SUBTITLES = {
    True: "A base VLA, a residual policy trained in simulation on object poses, and a VLA retrained on both's rollouts.",
    False: "A base VLA and a residual policy for each tabletop task, and one VLA retrained on the corrected rollouts of all.",
}


def build_report(measured: Measured, out: Path, command: str) -> None:
    """Write `index.html`, `results.md`, `success.json` and, of several tabletop tasks, `videos` and `rounds.json` into `out`.

    The same values give the same bytes. A missing part is named on the page, which says that `command` wrote it.
    """
    if not measured.alone:
        for strip in strips(measured.tasks):
            files.write_bytes(out / "videos" / f"{strip.name}.jpg", strip.jpeg)
        files.write_json(out / ROUNDS, {"rounds": rounds.all_rounds(measured)})
    page = report_page(measured)
    files.write_bytes(out / PAGE, page_html(page, command).encode())
    files.write_bytes(out / RESULTS, page_markdown(page).encode())
    files.write_json(out / SUCCESS, {"success": success_rows(measured)})


def results_markdown(measured: Measured) -> str:
    """The report's text and tables as Markdown, for a terminal or a repository."""
    return page_markdown(report_page(measured))


def table_1_markdown(measured: Measured) -> str:
    """Table 1 and the average's paired difference as Markdown, with the notes that belong to them."""
    return "## Table 1: base and base + residual\n\n" + markdown([*_table_1(measured), verdicts.TWIN_STATEMENT])


def success_rows(measured: Measured) -> list[dict[str, str | float]]:
    """A row for each policy and cell with its success rate and Wilson interval, as `dvc plots` reads them."""
    found = [
        (task.tabletop_task, cell, entry, variants)
        for task in measured.tasks
        for cells, variants in (
            (task.main_cells, tables.VARIANTS),
            (measured.retrained.get(task.tabletop_task, {}), RETRAINED_VARIANTS),
        )
        for cell, entry in cells.items()
    ]
    return [
        {"policy": ("" if measured.alone else f"{slug}, ") + f"{cell_label(cell)}: {VARIANT_LABELS[variant]}"}
        | {key: entry[variant][key] for key in ("success_rate", "wilson_low", "wilson_high")}
        for slug, cell, entry, variants in found
        for variant in variants
        if variant in entry
    ]


def report_page(measured: Measured) -> Page:
    """The whole report; its figures are drawn once they are needed."""
    instruction = f"Instruction: “{tabletop_task(measured.name).instruction}”. " if measured.name in slugs() else ""
    sessions = [session for task in measured.tasks for session in task.sessions]
    return Page(
        title=f"{measured.name}, round {measured.round}",
        summary=verdicts.summary_sentences(measured),
        sections=[
            *(() if measured.alone else [Section("Table 1: base and base + residual", _table_1(measured))]),
            Section("Base and base + residual", success_blocks(measured)),
            *([Section("Evaluation sessions", [sessions_table(sessions)])] if sessions else []),
            Section("The retrained VLA alone", retrained_blocks(measured)),
            *([Section("Success over rounds", _rounds(measured))] if measured.earlier else []),
            Section("Videos", _videos(measured)),
            Section("Learning curve", _learning(measured)),
            Section("What the residual does", _residual(measured)),
            Section("Data and replay", data_blocks(measured)),
            Section("Targets, and what falls short", _limits(measured)),
        ],
        subtitle=instruction + SUBTITLES[measured.alone],
        cards=list(_cards(measured)),
    )


def _cards(measured: Measured) -> Iterator[tuple[str, str]]:
    """Success before and after as large numbers: by cell, of several tabletop tasks their average."""

    def change(first: float | None, second: float | None) -> str:
        return f"{percent(first)} → {percent(second)}"

    if measured.alone:
        for cell, entry in measured.tasks[0].main_cells.items():
            rates = (entry[variant]["success_rate"] for variant in tables.VARIANTS)
            yield change(*rates), f"{cell_label(cell)}: base → base + residual"
        for cell, entry in measured.retrained.get(measured.name, {}).items():
            rates = (entry.get(variant, {}).get("success_rate") for variant in ("before", "retrained"))
            yield change(*rates), f"{cell_label(cell)}: VLA alone, before → retrained"
        return
    for cell, found in measured.residual_averages.items():
        yield change(found["first"], found["second"]), f"{cell_label(cell)}, average: base → base + residual"
    if found := measured.retrained_averages.get("before"):
        yield (
            change(found["first"], found["second"]),
            f"{cell_label(RETRAINED_CELL)}, average: VLA before → multi-task VLA",
        )


def svg(draw: Callable[..., str], values: object, caption: str, panels: int = 1) -> Figure:
    """The figure that `draw` makes of `values` once it is needed."""
    return Figure("image/svg+xml", lambda: draw(values).encode(), caption, panels)


def _table_1(measured: Measured) -> list[Block]:
    return [tables.table_1(measured), tables.average_table(measured)]


def success_blocks(measured: Measured) -> list[Block]:
    """Base and base + residual from the same initial states: success, harm, length."""
    blocks: list[Block] = [
        "Both policies start from the same held-out initial states. Success is decided by the simulator's state and must "
        "hold for the task's full hold time; intervals are Wilson's."
    ]
    if any(task.evaluations for task in measured.tasks):
        caption = "Success rate [%] of base and base + residual with 95% Wilson intervals."
        caption += "" if measured.alone else " Bars: first residual seed; the average is over every one."
        blocks.append(svg(figures.success_figure, measured, caption, panels=len(measured.tasks)))
    blocks += [tables.success_table(measured), tables.paired_table(measured), harm.harm_table(measured)]
    blocks += harm.statements(measured)
    lost = harm.lost_states_table(measured)
    blocks += [lost] if lost.rows else []
    if any(task.main_episodes for task in measured.tasks):
        caption = (
            "Length of successful episodes: dots are episodes, boxes quartiles, white diamonds means (compare Fig. 7b)."
        )
        blocks.append(svg(figures.length_figure, measured.tasks, caption))
    return [*blocks, tables.length_table(measured)]


def retrained_blocks(measured: Measured) -> list[Block]:
    """The retrained VLA beside the one before and the controls."""
    text = (
        "The VLA alone, without a residual. Every variant was trained with as many optimiser steps from the same start; the "
        "controls are demonstrations only, and demonstrations with successful rollouts of the uncorrected base."
    )
    if not measured.alone:
        text += (
            " Before: the VLA that the task's residual stands on, in round 0 its own real VLA. The retrained one and the "
            "controls are one VLA each for all tasks."
        )
    caption = "Success rate [%] of each variant with 95% Wilson intervals (compare Fig. 6c)."
    drawn = [svg(figures.retrained_figure, measured, caption, panels=len(measured.tasks))] if measured.retrained else []
    stepped_in = [interventions_table(measured.interventions)] if measured.interventions else []
    return [text, *drawn, tables.retrained_table(measured), *stepped_in]


def _rounds(measured: Measured) -> list[Block]:
    caption = "Success rate [%] of the multi-task VLA alone over rounds, with 95% Wilson intervals; thick: the average."
    return [svg(rounds.rounds_figure, rounds.all_rounds(measured), caption), rounds.rounds_table(measured)]


def _videos(measured: Measured) -> list[Block]:
    """Videos of one tabletop task, of several a strip of images each."""
    found: list[Block] = [Figure("image/jpeg", lambda s=s: s.jpeg, s.caption, 2) for s in strips(measured.tasks)]
    if measured.alone:
        found += [_video(video, task) for task in measured.tasks for video in task.videos]
    text = (
        "The same initial state twice. The states were chosen to show a rescue and a failure with the residual; the tables "
        "say how often each happens. Images are larger than the 64 pixels that the VLA sees."
    )
    return [text, *found] if found else []


def _video(video: Video, task: MeasuredTask) -> Figure:
    def draw() -> bytes:
        return encode_video(side_by_side(clips_of(video, task)), CONTROL_HZ)

    return Figure("video/mp4", draw, f"{cell_label(video.cell)}, initial state {video.seed}")


def _learning(measured: Measured) -> list[Block]:
    if not any(task.curves for task in measured.tasks):
        return []
    caption = (
        "Success on validation initial states over training in simulation (compare Fig. 4), and how much of its bound the "
        "residual uses: a line a residual seed, with mean and standard deviation where there are several. The checkpoint "
        "that is best on validation is the one evaluated above, on other states."
    )
    drawn = svg(figures.learning_figure, measured.tasks, caption, panels=2)
    return [drawn, tables.curve_table(measured)] if measured.alone else [drawn]


def _residual(measured: Measured) -> list[Block]:
    blocks: list[Block] = []
    if any(entry.get("alignment") for task in measured.tasks for entry in task.main_cells.values()):
        caption = (
            "Cosine of the residual with the direction to the first tracked object, and its length, by the base action's own "
            "cosine (compare Fig. 7a). Approach only: object visible and more than 3 cm away. First residual seed."
        )
        blocks.append(svg(residual_figures.alignment_figure, measured.tasks, caption, panels=2))
    cells = measured.tasks[0].main_episodes if measured.alone else {}
    if any(entry.get("traces") for entry in cells.values()):
        caption = (
            f"Base action and residual along the gripper's way to the object, drawn {residual_figures.ARROW_LENGTH:g} times as "
            "long as they are (compare Fig. 5). Object positions are the tracker's."
        )
        blocks.append(svg(residual_figures.arrows_figure, cells, caption, panels=4))
    return blocks


def data_blocks(measured: Measured) -> list[Block]:
    """What became of the episodes that were recorded, replayed and rolled out."""
    quality, dropped = tables.replay_quality_table(measured), tables.dropped_table(measured)
    found: list[Block] = [table for table in (tables.data_table(measured), quality, dropped) if table.rows]
    counts = [report["counts"] for task in measured.tasks for report in (task.ingest, task.replay) if report]
    if counts and not any(
        count.get("rejected", 0) + count.get("episodes", 0) - count.get("kept", 0) for count in counts
    ):
        found.append("No episode was refused or dropped.")
    return found


def _limits(measured: Measured) -> list[Block]:
    blocks: list[Block] = [
        verdicts.target_table(verdicts.targets(measured)),
        [verdicts.TWIN_STATEMENT, *verdicts.shortfalls(measured)],
    ]
    return [*blocks, "Missing from this report:", measured.missing] if measured.missing else blocks
