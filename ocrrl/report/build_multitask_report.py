"""`report_multitask`: one HTML page of what a round measured on all tabletop tasks, and its tables in Markdown."""

from pathlib import Path

from ocrrl import files
from ocrrl.report import multitask_figures, multitask_strips, multitask_tables, multitask_verdicts, page
from ocrrl.report.build_report import PAGE, RESULTS
from ocrrl.report.inputs import cell_label
from ocrrl.report.multitask_inputs import MultitaskMeasured
from ocrrl.report.multitask_strips import Strip
from ocrrl.report.page import Section
from ocrrl.report.paper_results import SOURCE
from ocrrl.report.table import Table, html_table, markdown_table
from ocrrl.report.targets import target_table
from ocrrl.report.values import percent
from ocrrl.report.verdicts import TWIN_STATEMENT

SUBTITLE = "A base VLA and a residual policy for each tabletop task, and one VLA retrained on the corrected rollouts of all of them."
TABLE_1_NOTE = (
    "Ours: rate in per cent with its Wilson 95% interval, or mean ± standard deviation over residual seeds where there are "
    f"several. The paper's columns are not ours: {SOURCE}. A twin is not a robot."
)
AVERAGE_NOTE = (
    "Difference in percentage points: paired bootstrap over the initial states within each tabletop task, the tasks fixed "
    "and counted alike. Where there are several residual seeds, they too are fixed: a state is drawn with the mean over them."
)
PAIRED_NOTE = (
    "Difference in percentage points, 95% interval for paired proportions (Newcombe 1998, method 10); exact McNemar p."
)
HARM_NOTE = "Initial states that the base solved and base + residual, of the first residual seed, did not."
LENGTH_NOTE = (
    "First residual seed; only initial states that both solved; 95% bootstrap interval over the pairs. The paper, not ours, "
    "has successes 9 to 22% shorter on its robot (Fig. 7b)."
)
RETRAINED_NOTE = (
    "The VLA alone, without a residual. Before: the VLA that the task's residual stands on, in round 0 its own real VLA. The "
    "retrained one and the controls are one VLA each for all tasks, from the same start with as many optimiser steps (compare "
    "Fig. 6c). Wilson 95% intervals."
)
RETRAINED_PAIRED_NOTE = (
    f"Of the average: {AVERAGE_NOTE} Of a single task: interval for paired proportions (Newcombe 1998, method 10)."
)
RETRAINED_LENGTH_NOTE = "Differences over the initial states that both solved; 95% bootstrap interval over the pairs."


def build_multitask_report(measured: MultitaskMeasured, out: Path, command: str) -> None:
    """Write `index.html`, `results.md` and the folder `films` into the folder `out`; the same values give the same bytes.

    A missing part is named on the page. `command` is what the page says it was written by.
    """
    title = f"{len(measured.tasks)} tabletop tasks: self-improvement round {measured.round}"
    strips = multitask_strips.strips(measured.tasks)
    for strip in strips:
        files.write_bytes(out / "films" / f"{strip.name}.jpg", strip.jpeg)
    text = page.render_page(title, SUBTITLE, _summary(measured), _sections(measured, strips), command)
    files.write_bytes(out / PAGE, text.encode())
    files.write_bytes(out / RESULTS, results_markdown(measured).encode())


def results_markdown(measured: MultitaskMeasured) -> str:
    """The tables as Markdown, for a terminal or a repository."""
    table_1, average = multitask_tables.table_1(measured), multitask_tables.average_table(measured)
    title = f"# {len(measured.tasks)} tabletop tasks, round {measured.round}"
    parts = [title, table_1_markdown(table_1, average)]
    for title, table, note in (
        ("Paired, from the same initial states", multitask_tables.paired_table(measured), PAIRED_NOTE),
        ("Do no harm", multitask_tables.harm_table(measured), HARM_NOTE),
        ("Length of successful episodes", multitask_tables.length_table(measured), LENGTH_NOTE),
        ("The multi-task VLA alone", multitask_tables.retrained_table(measured), RETRAINED_NOTE),
        ("The multi-task VLA, paired", multitask_tables.retrained_difference_table(measured), RETRAINED_PAIRED_NOTE),
        ("Length of its successes", multitask_tables.retrained_length_table(measured), RETRAINED_LENGTH_NOTE),
        ("Replay in simulation", multitask_tables.replay_table(measured), ""),
        ("Targets", target_table(multitask_verdicts.targets(measured)), ""),
    ):
        parts += [f"## {title}", _markdown(table), *([note] if note and table.rows else [])]
    if measured.missing:
        parts += ["## Missing", "\n".join(f"- {name}" for name in measured.missing)]
    return "\n\n".join(parts) + "\n"


def table_1_markdown(table_1: Table, average: Table) -> str:
    """Table 1 and the average's paired difference as Markdown, with the notes that belong to them."""
    parts = ["## Table 1: base and base + residual", _markdown(table_1), TABLE_1_NOTE]
    parts += ["## The average, paired", _markdown(average), AVERAGE_NOTE]
    return "\n\n".join([*parts, TWIN_STATEMENT])


def _markdown(table: Table) -> str:
    return markdown_table(table).rstrip() if table.rows else "Not measured."


def _html(table: Table, what: str, note: str = "") -> str:
    """`table` with `note` below; where it has no row, `what` is missing."""
    if not table.rows:
        return page.missing(what)
    return html_table(table) + (page.paragraph(note, "soft") if note else "")


def _summary(measured: MultitaskMeasured) -> str:
    *sentences, last = multitask_verdicts.summary_sentences(measured)
    cards = [
        (_change(found), f"{cell_label(cell)}, average: base → base + residual")
        for cell, found in measured.residual_averages.items()
    ]
    if found := measured.retrained_averages.get("before"):
        cards.append((_change(found), "twin (simulated), average: VLA alone, before → multi-task VLA"))
    text = page.paragraph(" ".join(sentences))
    return text + (page.cards(cards) if cards else "") + page.paragraph(last, "twin")


def _change(found: dict) -> str:
    return f"{percent(found['first'])} → {percent(found['second'])}"


def _sections(measured: MultitaskMeasured, strips: list[Strip]) -> list[Section]:
    return [
        Section("table1", "Table 1", _table_1(measured)),
        Section("tasks", "Task by task", _by_task(measured)),
        Section("retrained", "The multi-task VLA", _retrained(measured)),
        Section("learning", "Learning curves", _learning(measured)),
        Section("films", "What the residuals do, and where they fail", _films(strips)),
        Section("residual", "Where the residuals point", _residual(measured)),
        Section("replay", "Replay", _html(multitask_tables.replay_table(measured), "the replay reports")),
        Section("limits", "Targets, and what falls short", _limits(measured)),
    ]


def _evaluated(measured: MultitaskMeasured) -> bool:
    return any(task.evaluations for task in measured.tasks)


def _table_1(measured: MultitaskMeasured) -> str:
    if not _evaluated(measured):
        return page.missing("the evaluation of base and base + residual")
    return (
        page.paragraph(
            "Both policies start from the same held-out initial states. Success is decided by the simulator's state and must "
            "hold for the task's full hold time."
        )
        + html_table(multitask_tables.table_1(measured))
        + page.paragraph(TABLE_1_NOTE, "soft")
        + page.svg_figure(
            multitask_figures.success_figure(measured),
            "Success rate [%] of base and base + residual (first residual seed) with 95% Wilson intervals; the average is over "
            "every residual seed.",
            panels=2,
        )
        + "<h3>The average, paired</h3>"
        + _html(multitask_tables.average_table(measured), "the evaluation of every tabletop task", AVERAGE_NOTE)
    )


def _by_task(measured: MultitaskMeasured) -> str:
    if not _evaluated(measured):
        return page.missing("the evaluation of base and base + residual")
    return (
        "<h3>Paired: what became of each initial state</h3>"
        + _html(multitask_tables.paired_table(measured), "the paired counts", PAIRED_NOTE)
        + "<h3>Do no harm</h3>"
        + _html(multitask_tables.harm_table(measured), "single episodes", HARM_NOTE)
        + "<h3>Length of successful episodes</h3>"
        + _html(multitask_tables.length_table(measured), "episode lengths", LENGTH_NOTE)
    )


def _retrained(measured: MultitaskMeasured) -> str:
    if not measured.retrained:
        return page.missing("the evaluation of the multi-task VLA")
    return (
        page.paragraph(RETRAINED_NOTE)
        + page.svg_figure(
            multitask_figures.retrained_figure(measured),
            "Success rate [%] of each arm in the twin (simulated) with 95% Wilson intervals, and the averages.",
            panels=2,
        )
        + html_table(multitask_tables.retrained_table(measured))
        + "<h3>Paired: the multi-task VLA minus each other arm</h3>"
        + _html(multitask_tables.retrained_difference_table(measured), "paired differences", RETRAINED_PAIRED_NOTE)
        + "<h3>Length of its successes</h3>"
        + _html(multitask_tables.retrained_length_table(measured), "episode lengths", RETRAINED_LENGTH_NOTE)
    )


def _learning(measured: MultitaskMeasured) -> str:
    if not any(task.curves for task in measured.tasks):
        return page.missing("learning curves")
    return page.svg_figure(
        multitask_figures.learning_figure(measured.tasks),
        "Success on validation initial states over training in simulation (compare Fig. 4): a line a residual seed, with mean "
        "and standard deviation where there are several. The checkpoint best on validation is evaluated above, on other states.",
        panels=3,
    )


def _films(strips: list[Strip]) -> str:
    if not strips:
        return page.missing("films")
    text = "One initial state of each kind and tabletop task, the first of its kind among those filmed; how often each kind "
    text += "happens is in the tables. Pictures are larger than the 64 pixels that the VLA sees."
    return page.paragraph(text) + "".join(page.picture(strip.jpeg, strip.caption) for strip in strips)


def _residual(measured: MultitaskMeasured) -> str:
    if not any(entry.get("alignment") for task in measured.tasks for entry in task.main_cells.values()):
        return page.missing("alignment of residual and goal")
    return page.svg_figure(
        multitask_figures.alignment_figure(measured.tasks),
        "Cosine of the residual with the direction to the first tracked object, by the base action's own cosine (compare "
        "Fig. 7a). Approach only: object visible and more than 3 cm away. First residual seed; twin = simulated.",
        panels=3,
    )


def _limits(measured: MultitaskMeasured) -> str:
    body = html_table(target_table(multitask_verdicts.targets(measured)))
    body += page.bullets([TWIN_STATEMENT, *multitask_verdicts.shortfalls(measured)])
    if measured.missing:
        body += "<h3>Missing from this report</h3>" + page.bullets(measured.missing)
    return body
