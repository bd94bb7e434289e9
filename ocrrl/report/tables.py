"""Tables of a report on one or several tabletop tasks; `ocrrl show` prints the same ones.

A table on one tabletop task has no column that names it.
"""

from collections.abc import Iterable
from statistics import median, stdev

from ocrrl.report.inputs import CELLS, RETRAINED_CELL, RETRAINED_VARIANTS, ROLLOUTS, Measured, MeasuredTask
from ocrrl.report.json_reader import Json
from ocrrl.report.paper_results import AVERAGE, SOURCE, TABLE_1, TRIALS
from ocrrl.report.table import Table
from ocrrl.report.values import (
    LENGTH_COLUMNS,
    NONE,
    PAIRED_COLUMNS,
    SUCCESS_COLUMNS,
    VARIANT_LABELS,
    cell_label,
    difference_columns,
    length_columns,
    millimetres,
    number,
    paired_columns,
    percent,
    points,
    rate_with_interval,
    seconds_difference,
    success_columns,
)

VARIANTS = ("base", "residual")
MOST_POINTS = 40  # of a learning curve
REPLAY_ERRORS = {
    "gripper_error_median": ("gripper error (episode's median)", "max_gripper_error"),
    "object_error_median": ("object error (episode's median)", "max_object_error"),
    "slip": ("slip of the object in the gripper", "max_slip"),
}
PAIRED_NOTE = (
    "Difference: base + residual minus base in percentage points, 95% interval for paired proportions (Newcombe 1998, "
    "method 10); exact McNemar p."
)
AVERAGE_NOTE = (
    "Difference in percentage points: paired bootstrap over the initial states within each tabletop task, the tasks fixed "
    "and counted alike. Where there are several residual seeds, they too are fixed: a state is drawn with the mean over them."
)


def table_1(measured: Measured) -> Table:
    """Success of base and base + residual: a row a tabletop task and the average, the paper's numbers beside ours.

    Ours are a rate with its Wilson interval, or mean ± standard deviation over residual seeds where there are several.
    """
    columns = [(cell, variant) for cell in CELLS for variant in VARIANTS]
    rows = []
    for task in measured.tasks:
        paper = TABLE_1.get(task.tabletop_task)
        ours = (_rate(task, cell, variant) for cell, variant in columns)
        theirs = (paper.successes(cell, variant) if paper else NONE for cell, variant in columns)
        rows.append((task.tabletop_task, *ours, *theirs))
    ours = (_average(measured.average(cell, variant)) for cell, variant in columns)
    theirs = (AVERAGE.successes(cell, variant) if measured.covers_all_tasks else NONE for cell, variant in columns)
    rows.append((_average_label(measured), *ours, *theirs))
    names = {"base": "base", "residual": "base + residual"}
    our_header = (f"{cell_label(cell)}: {names[variant]}" for cell, variant in columns)
    places = {"sim": "sim", "twin": "real robot"}
    their_header = (f"paper, not ours, of {TRIALS}: {places[cell]}, {names[variant]}" for cell, variant in columns)
    note = (
        "Ours: rate in per cent with its Wilson 95% interval, or mean ± standard deviation over residual seeds where there "
        f"are several. The paper's columns are not ours: {SOURCE}. A twin is not a robot."
    )
    return Table(("tabletop task", *our_header, *their_header), rows, note=note)


def average_table(measured: Measured) -> Table:
    """Base and base + residual averaged over the tabletop tasks, and their paired difference."""
    rows = [
        (cell_label(cell), percent(found["first"]), percent(found["second"]), points(found))
        for cell, found in measured.residual_averages.items()
    ]
    header = (f"{_average_label(measured)} tabletop tasks", "base", "base + residual", "difference, 95% interval")
    return Table(header, rows, title="The average, paired", note=AVERAGE_NOTE)


def success_table(measured: Measured) -> Table:
    """Successes with Wilson intervals: base and base + residual, by cell and residual seed, beside the paper's."""
    rows = []
    for task in measured.tasks:
        paper = TABLE_1.get(task.tabletop_task)
        for cell, seed, entry in task.by_cell:
            for variant in VARIANTS:
                theirs = paper.describe(cell, variant) if paper else NONE
                of_seed = seed if variant == "residual" else NONE
                ours = success_columns(entry[variant])
                rows.append((task.tabletop_task, cell_label(cell), VARIANT_LABELS[variant], of_seed, *ours, theirs))
    unique = list(dict.fromkeys(rows))  # the base is the same beside every residual seed
    note = (
        f"The last column is the paper's, given for orientation only: {SOURCE}. Its real-robot numbers are not ours and have "
        "no counterpart here; a twin is not a robot."
    )
    header = ("where", "policy", "residual seed", *SUCCESS_COLUMNS, "paper, not ours")
    return by_task(measured, header, unique, 3, "Successes", note)


def paired_table(measured: Measured) -> Table:
    """What became of each initial state, and the paired difference."""
    rows = [
        (task.tabletop_task, cell_label(cell), seed, *paired_columns(entry))
        for task in measured.tasks
        for cell, seed, entry in task.by_cell
    ]
    header = ("where", "residual seed", *PAIRED_COLUMNS)
    return by_task(measured, header, rows, 2, "Paired: what became of each initial state", PAIRED_NOTE)


def length_table(measured: Measured) -> Table:
    """Length of successful episodes, base against base + residual, where both solved the same initial state (Fig. 7b)."""
    rows = [
        (task.tabletop_task, cell_label(cell), *length_columns(entry))
        for task in measured.tasks
        for cell, entry in task.main_cells.items()
    ]
    note = (
        "Only initial states that both solved, so that hard states do not count against the policy that solves them; first "
        "residual seed; 95% bootstrap interval over the pairs. The paper, not ours, has successes 9 to 22% shorter on its "
        "robot (Fig. 7b)."
    )
    return by_task(measured, ("where", *LENGTH_COLUMNS), rows, 2, "Length of successful episodes", note)


def retrained_table(measured: Measured) -> Table:
    """The retrained VLA alone and its control variants, each compared with the retrained one on the same initial states."""
    rows: list[tuple[str, ...]] = []
    for slug, cells in measured.retrained.items():
        for cell, entry in cells.items():
            for variant in (variant for variant in RETRAINED_VARIANTS if variant in entry):
                found = entry.get("differences", {}).get(variant, {})
                rate, steps = difference_columns(found.get("success_rate")), seconds_difference(found.get("steps"))
                rows.append(
                    (slug, cell_label(cell), VARIANT_LABELS[variant], *success_columns(entry[variant]), *rate, steps)
                )
    if rows and not measured.alone:
        for variant in RETRAINED_VARIANTS:
            rate = percent(measured.retrained_average(variant))
            difference = points(measured.retrained_averages.get(variant))
            named = (_average_label(measured), cell_label(RETRAINED_CELL), VARIANT_LABELS[variant])
            rows.append((*named, NONE, rate, NONE, NONE, difference, NONE, NONE))
    measures = (*SUCCESS_COLUMNS, "retrained minus this", "McNemar p", "its length minus this one's")
    note = (
        "Differences are paired. Of a rate: interval for paired proportions (Newcombe 1998, method 10). Of the mean length of "
        "successes: over the initial states that both solved, 95% bootstrap interval over the pairs (compare Fig. 6d)."
    )
    note += "" if measured.alone else f" Of the average: {AVERAGE_NOTE[0].lower()}{AVERAGE_NOTE[1:]}"
    return by_task(measured, ("where", "policy, without residual", *measures), rows, 3, note=note)


def curve_table(measured: Measured, chosen: float | None = None) -> Table:
    """The learning curve of the first residual, `MOST_POINTS` or so of its points; `chosen` is the selected one's transitions."""
    rows = []
    for task in measured.tasks:
        curve = next(iter(task.curves.values()), [])
        every = -(-len(curve) // MOST_POINTS) or 1
        for k, point in enumerate(curve):
            at = point["transitions"]
            if k % every == 0 or k == len(curve) - 1 or at == chosen:
                rates = (percent(point.get(name)) for name in ("validation_success", "training_success"))
                sizes = (number(point.get(name), 2) for name in ("residual_magnitude", "critic_loss"))
                rows.append((task.tabletop_task, number(at), *rates, *sizes, "chosen" if at == chosen else ""))
    header = ("transitions", "validation success", "training success", "size of residual", "critic loss", "checkpoint")
    note = "Size of residual: mean share of its bound."
    found = by_task(measured, header, rows, 1, note=note)
    return found if chosen is not None else found.without_column(len(found.header) - 1)


def data_table(measured: Measured) -> Table:
    """How many episodes went in and came out of every stage that collects or checks them."""
    rows: list[tuple[str, ...]] = []
    for task in measured.tasks:
        if task.ingest:
            counts = task.ingest["counts"]
            notes = f"{number(sum(episode['length'] for episode in task.ingest['accepted']))} steps accepted"
            notes += f", format {task.ingest['source_format']}" if task.ingest.get("source_format") else ""
            kept = str(counts["accepted"]), str(counts["rejected"])
            rows.append((task.tabletop_task, "ingest: demonstrations", notes, *kept))
        if task.replay:
            counts = task.replay["counts"]
            notes = f"{counts['successes']} of {counts['episodes']} replays succeeded ({percent(replay_success(task))})"
            if counts.get("replayed", counts["episodes"]) != counts["episodes"]:
                notes += f", {counts['replayed']} were replayed"
            kept = str(counts["kept"]), str(counts["episodes"] - counts["kept"])
            rows.append((task.tabletop_task, "replay in simulation", notes, *kept))
        for policy, label in ROLLOUTS.items():
            if summary := task.rollouts.get(policy):
                attempts, recorded = summary["attempts"], summary["recorded"]
                notes = f"{attempts['successes']} of {attempts['episodes']} attempts succeeded"
                if attempts.get("success_rate") is not None:
                    notes += f" ({rate_with_interval(attempts)})"
                notes += f", cell: {cell_label(summary['cell'])}"
                if recorded < summary["wanted"]:
                    notes += f"; {summary['wanted']} were wanted"
                rows.append((task.tabletop_task, label, notes, str(recorded), str(attempts["episodes"] - recorded)))
    return by_task(measured, ("stage", "what happened", "episodes kept", "not kept"), rows, 3)


def replay_quality_table(measured: Measured) -> Table:
    """How closely the replays followed the recordings: medians and worst over the episodes, and what is kept at most."""
    rows = []
    for task in measured.tasks:
        limits, quality = (task.replay or {}).get("config", {}), (task.replay or {}).get("quality", [])
        for name, (label, limit) in REPLAY_ERRORS.items() if quality else ():
            values = [row[name] for row in quality if row.get(name) is not None]
            found = (median(values), max(values)) if values else (None, None)
            columns = (millimetres(value) for value in (*found, limits.get(limit)))
            rows.append((task.tabletop_task, label, str(len(values)), *columns))
    header = ("replay against recording", "episodes", "median", "worst", "kept up to")
    return by_task(measured, header, rows, 2, "Replay quality")


def dropped_table(measured: Measured) -> Table:
    """Every recording that was refused or dropped, with the reason."""
    rows = [
        (task.tabletop_task, stage, entry["source"], entry["reason"])
        for task in measured.tasks
        for stage, entries in (
            ("ingest", (task.ingest or {}).get("rejected")),
            ("replay", (task.replay or {}).get("dropped")),
        )
        for entry in entries or ()
    ]
    return by_task(measured, ("stage", "episode", "reason"), rows, 4, "Refused and dropped episodes")


def replay_success(task: MeasuredTask) -> float | None:
    """Share of the episodes whose replay succeeded; one that could not be replayed counts as a failure."""
    counts: Json | None = (task.replay or {}).get("counts")
    return counts["successes"] / counts["episodes"] if counts and counts["episodes"] else None


def by_task(
    measured: Measured,
    header: tuple[str, ...],
    rows: Iterable[tuple[str, ...]],
    text_columns: int,
    title: str = "",
    note: str = "",
) -> Table:
    """A table whose `rows` begin with the tabletop task, which `header` does not name."""
    table = Table(("tabletop task", *header), list(rows), text_columns, title, note)
    return table.without_column(0) if measured.alone else table


def _rate(task: MeasuredTask, cell: str, variant: str) -> str:
    rates = task.rates(cell, variant)
    if len(rates) > 1:
        return f"{percent(task.rate(cell, variant))} ± {100 * stdev(rates):.0f}"
    return rate_with_interval(task.main_cells[cell][variant]) if rates else NONE


def _average(found: tuple[float, float | None] | None) -> str:
    mean, deviation = found or (None, None)
    return percent(mean) + (f" ± {100 * deviation:.0f}" if deviation is not None else "")


def _average_label(measured: Measured) -> str:
    return f"average of {len(measured.tasks)}"
