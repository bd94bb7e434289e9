"""The report's tables as rows of text, and as Markdown or HTML."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from statistics import median

from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.report.inputs import Json, Measured, cell_label, cells_of
from ocrrl.report.paper_results import TABLE_1

ARM_LABELS = {
    "base": "base VLA",
    "residual": "base + residual",
    "before": "VLA before",
    "retrained": "VLA retrained on corrected rollouts",
    "demonstrations_only": "control: demonstrations only",
    "base_rollouts": "control: base's own rollouts",
}
NONE = "–"


@dataclass(frozen=True)
class Table:
    """A header and rows of the same length; the first `text_columns` are words, the rest numbers."""

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    text_columns: int = 1


def success_table(measured: Measured) -> Table:
    """Successes with Wilson intervals: base and base + residual, by residual seed and cell, beside the paper's."""
    paper = TABLE_1.get(measured.tabletop_task)
    rows = []
    for evaluation in measured.evaluations:
        for cell, entry in cells_of(evaluation).items():
            for arm in ("base", "residual"):
                orientation = paper.describe(cell, arm) if paper else NONE
                seed = str(evaluation["residual_seed"]) if arm == "residual" else NONE
                rows.append((cell_label(cell), ARM_LABELS[arm], seed, *_success(entry[arm]), orientation))
    unique = list(dict.fromkeys(rows))  # the base is the same beside every residual seed
    header = ("where", "policy", "residual seed", "successes", "rate", "95% interval", "mean length", "paper, not ours")
    return Table(header, _by_first_column(unique), text_columns=2)


def paired_table(measured: Measured) -> Table:
    """What became of each initial state, and the paired difference."""
    rows = []
    for evaluation in measured.evaluations:
        for cell, entry in cells_of(evaluation).items():
            pairs = entry["paired"]
            counts = (str(pairs[name]) for name in ("both", "only_residual", "only_base", "neither"))
            rows.append(
                (
                    cell_label(cell),
                    str(evaluation["residual_seed"]),
                    *counts,
                    *_rate_difference(entry.get("difference")),
                )
            )
    counted = ("both", "only base + residual", "only base", "neither")
    return Table(("where", "residual seed", *counted, "difference", "McNemar p"), _by_first_column(rows))


def length_table(measured: Measured) -> Table:
    """Episode lengths where both arms succeeded from the same initial state."""
    rows = []
    for cell, entry in measured.main_cells.items():
        steps = entry.get("steps_difference") or {}
        rows.append(
            (
                cell_label(cell),
                str(steps.get("pairs", 0)),
                seconds(steps.get("mean_first")),
                seconds(steps.get("mean_second")),
                _steps_difference(steps),
                percent(steps.get("relative"), signed=True),
            )
        )
    return Table(("where", "pairs both solved", "base", "base + residual", "difference", "relative"), rows)


def retrained_table(measured: Measured) -> Table:
    """The retrained VLA alone and its control arms, each compared with the retrained one on the same initial states."""
    rows = []
    for cell, entry in measured.retrained_cells.items():
        for arm in ("before", "retrained", "demonstrations_only", "base_rollouts"):
            if arm not in entry:
                continue
            difference = entry.get("differences", {}).get(arm, {})
            rate = _rate_difference(difference.get("success_rate"))
            rows.append((cell_label(cell), ARM_LABELS[arm], *_success(entry[arm]), *rate))
    measures = ("successes", "rate", "95% interval", "mean length", "retrained minus this", "McNemar p")
    header = ("where", "policy, without residual", *measures)
    return Table(header, rows, text_columns=2)


def harm_table(measured: Measured) -> Table:
    """The initial states that the base solved and base + residual did not."""
    rows = []
    for cell, details in measured.main_episodes.items():
        harmed = set(details["do_no_harm"])
        for episode in details["episodes"]:
            if episode["seed"] in harmed:
                ran = f"{seconds(episode['residual_steps'])}, then stopped"
                rows.append((cell_label(cell), str(episode["seed"]), seconds(episode["base_steps"]), ran))
    return Table(("where", "initial state (seed)", "base solved it in", "base + residual ran"), rows)


def data_table(measured: Measured) -> Table:
    """How many episodes went in and came out of every stage."""
    rows: list[tuple[str, ...]] = []
    if measured.ingest:
        counts = measured.ingest["counts"]
        steps = sum(episode["length"] for episode in measured.ingest["accepted"])
        rows.append(("ingest: demonstrations", f"{steps} steps", str(counts["accepted"]), str(counts["rejected"])))
    if measured.replay:
        counts = measured.replay["counts"]
        notes = f"{counts['successes']} of {counts['replayed']} replays succeeded"
        rows.append(("replay in simulation", notes, str(counts["kept"]), str(counts["dropped"])))
    for policy, label in (("corrected", "rollouts of base + residual"), ("base", "rollouts of the base (control)")):
        summary = (measured.rollouts or {}).get(policy)
        if summary:
            attempts = summary["attempts"]
            notes = f"{attempts['successes']} of {attempts['episodes']} attempts succeeded, cell: {summary['cell']}"
            if summary["recorded"] < summary["wanted"]:
                notes += f"; {summary['wanted']} were wanted"
            unused = attempts["episodes"] - summary["recorded"]
            rows.append((label, notes, str(summary["recorded"]), str(unused)))
    return Table(("stage", "what happened", "episodes kept", "not kept"), rows, text_columns=2)


def dropped_table(measured: Measured) -> Table:
    """Every recording that was refused or dropped, with the reason."""
    refused = [("ingest", entry) for entry in (measured.ingest or {}).get("rejected", [])]
    dropped = [("replay", entry) for entry in (measured.replay or {}).get("dropped", [])]
    rows = [(stage, entry["source"], entry["reason"]) for stage, entry in refused + dropped]
    return Table(("stage", "episode", "reason"), rows, text_columns=3)


def replay_quality_table(measured: Measured) -> Table:
    """How closely the replays followed the recordings: medians and worst over the episodes [mm]."""
    names = {
        "gripper_error_median": "gripper error (episode's median)",
        "object_error_median": "object error (episode's median)",
        "slip": "slip of the object in the gripper",
    }
    rows = []
    for name, label in names.items():
        values = [1000 * q[name] for q in (measured.replay or {}).get("quality", []) if q.get(name) is not None]
        if values:
            rows.append((label, str(len(values)), f"{median(values):.1f} mm", f"{max(values):.1f} mm"))
    return Table(("replay against recording", "episodes", "median", "worst"), rows)


def markdown_table(table: Table) -> str:
    """`table` in GitHub's Markdown, columns padded so that it reads in a terminal too."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in [table.header, *table.rows]]
    widths = [max(len(row[k]) for row in cells) for k in range(len(table.header))]

    def line(row: Sequence[str]) -> str:
        padded = [
            c.ljust(w) if k < table.text_columns else c.rjust(w)
            for k, (c, w) in enumerate(zip(row, widths, strict=True))
        ]
        return "| " + " | ".join(padded) + " |"

    rule = "|".join("-" * (w + 2) if k < table.text_columns else "-" * (w + 1) + ":" for k, w in enumerate(widths))
    return "\n".join([line(cells[0]), f"|{rule}|", *(line(row) for row in cells[1:])]) + "\n"


def html_table(table: Table) -> str:
    """`table` as HTML in a box that scrolls sideways on a narrow screen."""

    def line(tag: str, row: Iterable[str]) -> str:
        kinds = (' class="text"' if k < table.text_columns else "" for k in range(len(table.header)))
        return (
            "<tr>"
            + "".join(f"<{tag}{kind}>{escape(cell)}</{tag}>" for cell, kind in zip(row, kinds, strict=True))
            + "</tr>"
        )

    body = "".join(line("td", row) for row in table.rows)
    return f'<div class="scroll"><table><thead>{line("th", table.header)}</thead><tbody>{body}</tbody></table></div>'


def percent(value: float | None, signed: bool = False) -> str:
    """A fraction as whole per cent."""
    if value is None:
        return NONE
    return f"{100 * value:+.0f}%" if signed else f"{100 * value:.0f}%"


def seconds(steps: float | None) -> str:
    """Control steps as seconds."""
    return NONE if steps is None else f"{steps / CONTROL_HZ:.1f} s"


def _by_first_column(rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """`rows` grouped by their first column, in the order of its first appearance; within a group as they came."""
    order = list(dict.fromkeys(row[0] for row in rows))
    return sorted(rows, key=lambda row: order.index(row[0]))


def _success(summary: Json) -> tuple[str, str, str, str]:
    return (
        f"{summary['successes']} / {summary['episodes']}",
        percent(summary["success_rate"]),
        f"{100 * summary['wilson_low']:.0f} to {100 * summary['wilson_high']:.0f}%",
        seconds(summary["mean_steps_success"]),
    )


def _rate_difference(difference: Json | None) -> tuple[str, str]:
    if not difference:
        return NONE, NONE
    low, high = 100 * difference["low"], 100 * difference["high"]
    p = difference["mcnemar_p"]
    return (
        f"{100 * difference['difference']:+.0f} [{low:+.0f}, {high:+.0f}] points",
        "< 0.001" if p < 0.001 else f"{p:.3f}",
    )


def _steps_difference(steps: Json) -> str:
    if steps.get("difference") is None:
        return NONE
    text = f"{steps['difference'] / CONTROL_HZ:+.2f}"
    if steps.get("low") is not None:
        text += f" [{steps['low'] / CONTROL_HZ:+.2f}, {steps['high'] / CONTROL_HZ:+.2f}]"
    return text + " s"
