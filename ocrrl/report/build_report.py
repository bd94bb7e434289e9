"""`report`: one HTML page of what a round measured on a tabletop task, its tables in Markdown, its rates in JSON."""

from pathlib import Path

from ocrrl import files
from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.report import figures, page, residual_figures, tables, verdicts
from ocrrl.report.inputs import Film, Measured, ReportInputs, cell_label, read_inputs
from ocrrl.report.page import Section
from ocrrl.report.paper_results import SOURCE
from ocrrl.report.table import html_table, markdown_table
from ocrrl.report.targets import target_table
from ocrrl.report.values import ARM_LABELS, percent
from ocrrl.report.videos import clips_of, encode_video, side_by_side
from ocrrl.tabletop.registry import slugs, tabletop_task

PAGE, RESULTS, SUCCESS = "index.html", "results.md", "success.json"


def build_report(inputs: ReportInputs, out: Path) -> Measured:
    """Write `index.html`, `results.md` and `success.json` into the folder `out`; the same inputs give the same bytes.

    A missing part is named on the page. Raises ValueError for an input that is there and is not JSON.
    """
    measured = read_inputs(inputs)
    title = f"{measured.tabletop_task.replace('_', ' ').capitalize()}: self-improvement round {measured.round}"
    slug = measured.tabletop_task
    subtitle = f"Instruction: “{tabletop_task(slug).instruction}”. " if slug in slugs() else ""
    subtitle += (
        "A base VLA, a residual policy trained in simulation on object poses, and a VLA retrained on both's rollouts."
    )
    text = page.render_page(title, subtitle, _summary(measured), _sections(measured), "ocrrl report")
    files.write_bytes(out / PAGE, text.encode())
    files.write_bytes(out / RESULTS, results_markdown(measured).encode())
    files.write_json(out / SUCCESS, {"success": success_rows(measured)})
    return measured


def results_markdown(measured: Measured) -> str:
    """The main tables as Markdown, for a terminal or a repository."""
    parts = [f"# {measured.tabletop_task}, round {measured.round}"]
    for title, table in (
        ("Base and base + residual", tables.success_table(measured)),
        ("Paired, from the same initial states", tables.paired_table(measured)),
        ("The retrained VLA alone", tables.retrained_table(measured)),
    ):
        content = markdown_table(table).rstrip() if table.rows else "Not measured."
        parts += [f"## {title}", content]
    parts += [verdicts.TWIN_STATEMENT + f" The paper's column is not ours ({SOURCE})."]
    return "\n\n".join(parts) + "\n"


def success_rows(measured: Measured) -> list[dict[str, str | float]]:
    """A row for each policy and cell with its success rate and Wilson interval, as `dvc plots` reads them."""
    arms = [(cell, entry, ("base", "residual")) for cell, entry in measured.main_cells.items()]
    retrained_arms = ("before", "retrained", "demonstrations_only", "base_rollouts")
    arms += [(cell, entry, retrained_arms) for cell, entry in measured.retrained_cells.items()]
    measures = ("success_rate", "wilson_low", "wilson_high")
    return [
        {"policy": f"{cell_label(cell)}: {ARM_LABELS[name]}"} | {key: entry[name][key] for key in measures}
        for cell, entry, names in arms
        for name in names
        if name in entry
    ]


def _summary(measured: Measured) -> str:
    *sentences, last = verdicts.summary_sentences(measured)
    values = []
    for cell, entry in measured.main_cells.items():
        change = f"{percent(entry['base']['success_rate'])} → {percent(entry['residual']['success_rate'])}"
        values.append((change, f"{cell_label(cell)}: base → base + residual"))
    for cell, entry in measured.retrained_cells.items():
        before = percent(entry["before"]["success_rate"]) + " → " if "before" in entry else ""
        change = before + percent(entry["retrained"]["success_rate"])
        values.append((change, f"{cell_label(cell)}: VLA alone, before → retrained"))
    kind = "twin" if last == verdicts.TWIN_STATEMENT else ""
    text = page.paragraph(" ".join(sentences)) if sentences else ""
    return text + (page.cards(values) if values else "") + page.paragraph(last, kind)


def _sections(measured: Measured) -> list[Section]:
    return [
        Section("success", "Success", _success(measured)),
        Section("retrained", "The retrained VLA", _retrained(measured)),
        Section("videos", "Videos", _videos(measured)),
        Section("learning", "Learning curve", _learning(measured)),
        Section("residual", "What the residual does", _residual(measured)),
        Section("lengths", "Episode lengths", _lengths(measured)),
        Section("harm", "Do no harm", _harm(measured)),
        Section("data", "Data and replay", _data(measured)),
        Section("limits", "What falls short", _limits(measured)),
    ]


def _success(measured: Measured) -> str:
    if not measured.evaluations:
        return page.missing("the evaluation of base and base + residual")
    return (
        page.paragraph(
            "Both policies start from the same held-out initial states. Success is decided by the simulator's state "
            "and must hold for the task's full hold time; intervals are Wilson's."
        )
        + page.svg_figure(
            figures.success_figure(measured.main_cells, ("base", "residual")),
            "Success rate of base and base + residual with 95% Wilson intervals.",
        )
        + html_table(tables.success_table(measured))
        + page.paragraph(
            f"The last column is the paper's, given for orientation only: {SOURCE}. Its real-robot numbers are "
            "not ours and have no counterpart here; a twin is not a robot.",
            "soft",
        )
        + "<h3>Paired: what became of each initial state</h3>"
        + html_table(tables.paired_table(measured))
        + page.paragraph(
            "Difference: base + residual minus base in percentage points, 95% interval for paired proportions "
            "(Newcombe 1998, method 10); exact McNemar p.",
            "soft",
        )
    )


def _retrained(measured: Measured) -> str:
    cells = measured.retrained_cells
    if not cells:
        return page.missing("the evaluation of the retrained VLA")
    arms = ("before", "retrained", "demonstrations_only", "base_rollouts")
    return (
        page.paragraph(
            "The VLA alone, without a residual. Every arm was trained with as many optimiser steps; the controls are "
            "demonstrations only, and demonstrations with successful rollouts of the uncorrected base."
        )
        + page.svg_figure(
            figures.success_figure(cells, arms), "Success rate of each arm with 95% Wilson intervals (compare Fig. 6c)."
        )
        + html_table(tables.retrained_table(measured))
        + page.paragraph("Mean length is over successful episodes (compare Fig. 6d). Differences are paired.", "soft")
    )


def _videos(measured: Measured) -> str:
    if not measured.films:
        return page.missing("films")
    shown = "".join(_film(measured, film) for film in measured.films)
    return (
        page.paragraph(
            "The same initial state twice. The states were chosen to show a rescue and a failure with the residual; "
            "the tables above tell how often each happens. Pictures are larger than the 64 pixels that the VLA sees."
        )
        + f'<div class="videos">{shown}</div>'
    )


def _film(measured: Measured, film: Film) -> str:
    composed = side_by_side(clips_of(film, measured))
    return page.video(encode_video(composed, CONTROL_HZ), f"{cell_label(film.cell)}, initial state {film.seed}")


def _learning(measured: Measured) -> str:
    if not measured.curves:
        return page.missing("learning curves")
    base = measured.main_cells.get("sim", {}).get("base", {}).get("success_rate")
    return page.svg_figure(
        figures.learning_figure(measured.curves, base),
        "Success on validation initial states over training in simulation (compare Fig. 4), and how much of its bound "
        "the residual uses. The checkpoint that was best on validation is the one evaluated above, on other states.",
        panels=2,
    )


def _residual(measured: Measured) -> str:
    body = ""
    cells = measured.main_episodes
    if any(entry["traces"] for entry in cells.values()):
        body += page.svg_figure(
            residual_figures.arrows_figure(cells),
            f"Base action and residual along the gripper's way to the object, drawn {residual_figures.ARROW_LENGTH:g} "
            "times as long as they are (compare Fig. 5). Object positions are the tracker's.",
            panels=4,
        )
    else:
        body += page.missing("traces of single episodes")
    if any(entry.get("alignment") for entry in measured.main_cells.values()):
        body += page.svg_figure(
            residual_figures.alignment_figure(measured.main_cells),
            "Cosine of the residual with the direction to the object, and its length, by the base action's own cosine "
            "(compare Fig. 7a). Approach only: object visible and more than 3 cm away.",
            panels=2,
        )
    else:
        body += page.missing("alignment of residual and goal")
    return body


def _lengths(measured: Measured) -> str:
    body = ""
    if measured.main_episodes:
        body += page.svg_figure(
            figures.length_figure(measured.main_episodes),
            "Length of successful episodes: dots are episodes, boxes quartiles, white diamonds means "
            "(compare Fig. 7b, where the residual shortens them by 9 to 22%).",
        )
    else:
        body += page.missing("single episodes")
    if measured.main_cells:
        body += html_table(tables.length_table(measured))
        body += page.paragraph(
            "Only initial states that both solved, so that hard states do not count against the policy that solves "
            "them; 95% bootstrap interval over the pairs.",
            "soft",
        )
    return body


def _harm(measured: Measured) -> str:
    if not measured.main_episodes:
        return page.missing("single episodes")
    table = tables.harm_table(measured)
    if not table.rows:
        return page.paragraph("There is no initial state that the base solved and base + residual did not.")
    return page.paragraph("Initial states that the base solved and base + residual did not:") + html_table(table)


def _data(measured: Measured) -> str:
    parts = {
        "ingest report": measured.ingest,
        "replay report": measured.replay,
        "rollout report": measured.rollouts or None,
    }
    body = "".join(page.missing(name) for name, content in parts.items() if content is None)
    for title, table in (
        ("", tables.data_table(measured)),
        ("Replay quality", tables.replay_quality_table(measured)),
        ("Refused and dropped episodes", tables.dropped_table(measured)),
    ):
        if table.rows:
            body += (f"<h3>{title}</h3>" if title else "") + html_table(table)
    if (measured.ingest or measured.replay) and not tables.dropped_table(measured).rows:
        body += page.paragraph("No episode was refused or dropped.")
    return body


def _limits(measured: Measured) -> str:
    body = page.bullets([verdicts.TWIN_STATEMENT, *verdicts.shortfalls(measured)])
    body += "<h3>Targets</h3>" + html_table(target_table(verdicts.targets(measured)))
    if measured.missing:
        body += "<h3>Missing from this report</h3>" + page.bullets(measured.missing)
    return body
