"""The tables of one tabletop task's report."""

from statistics import median

from ocrrl.report.inputs import ROLLOUTS, EvaluatedTask, Measured, cell_label, cells_of
from ocrrl.report.paper_results import TABLE_1
from ocrrl.report.table import Table
from ocrrl.report.values import (
    ARM_LABELS,
    NONE,
    difference_columns,
    length_columns,
    paired_columns,
    seconds,
    success_columns,
)

PAIRED_COLUMNS = ("both", "only base + residual", "only base", "neither", "difference", "McNemar p")
LENGTH_COLUMNS = ("pairs both solved", "base", "base + residual", "difference", "relative")


def success_table(measured: Measured) -> Table:
    """Successes with Wilson intervals: base and base + residual, by residual seed and cell, beside the paper's."""
    paper = TABLE_1.get(measured.tabletop_task)
    rows = []
    for evaluation in measured.evaluations:
        for cell, entry in cells_of(evaluation).items():
            for arm in ("base", "residual"):
                orientation = paper.describe(cell, arm) if paper else NONE
                seed = str(evaluation["residual_seed"]) if arm == "residual" else NONE
                rows.append((cell_label(cell), ARM_LABELS[arm], seed, *success_columns(entry[arm]), orientation))
    unique = list(dict.fromkeys(rows))  # the base is the same beside every residual seed
    header = ("where", "policy", "residual seed", "successes", "rate", "95% interval", "mean length", "paper, not ours")
    return Table(header, _by_first_column(unique), text_columns=2)


def paired_table(measured: EvaluatedTask) -> Table:
    """What became of each initial state, and the paired difference."""
    rows = [
        (cell_label(cell), str(evaluation["residual_seed"]), *paired_columns(entry))
        for evaluation in measured.evaluations
        for cell, entry in cells_of(evaluation).items()
    ]
    return Table(("where", "residual seed", *PAIRED_COLUMNS), _by_first_column(rows))


def length_table(measured: EvaluatedTask) -> Table:
    """Episode lengths where both arms succeeded from the same initial state."""
    rows = [(cell_label(cell), *length_columns(entry)) for cell, entry in measured.main_cells.items()]
    return Table(("where", *LENGTH_COLUMNS), rows)


def retrained_table(measured: Measured) -> Table:
    """The retrained VLA alone and its control arms, each compared with the retrained one on the same initial states."""
    rows = []
    for cell, entry in measured.retrained_cells.items():
        for arm in ("before", "retrained", "demonstrations_only", "base_rollouts"):
            if arm not in entry:
                continue
            difference = entry.get("differences", {}).get(arm, {})
            rate = difference_columns(difference.get("success_rate"))
            rows.append((cell_label(cell), ARM_LABELS[arm], *success_columns(entry[arm]), *rate))
    measures = ("successes", "rate", "95% interval", "mean length", "retrained minus this", "McNemar p")
    header = ("where", "policy, without residual", *measures)
    return Table(header, rows, text_columns=2)


def harm_table(measured: EvaluatedTask) -> Table:
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
    for policy, label in ROLLOUTS.items():
        summary = measured.rollouts.get(policy)
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


def _by_first_column(rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """`rows` grouped by their first column, in the order of its first appearance; within a group as they came."""
    order = list(dict.fromkeys(row[0] for row in rows))
    return sorted(rows, key=lambda row: order.index(row[0]))
