"""The tables over all tabletop tasks: Table 1 of the paper with our numbers, and what stands behind it."""

from statistics import stdev

from ocrrl.report.inputs import EvaluatedTask, cell_label, cells_of
from ocrrl.report.json_reader import Json
from ocrrl.report.multitask_inputs import CELLS, CONTROL_ARMS, RETRAINED_ARMS, RETRAINED_CELL, MultitaskMeasured
from ocrrl.report.paper_results import AVERAGE, TABLE_1, TRIALS
from ocrrl.report.table import Table
from ocrrl.report.tables import LENGTH_COLUMNS, PAIRED_COLUMNS
from ocrrl.report.values import (
    ARM_LABELS,
    NONE,
    length_columns,
    paired_columns,
    percent,
    points,
    rate_with_interval,
    seconds,
    seconds_difference,
)

ARMS = ("base", "residual")
SHOWN_SEEDS = 8  # initial states named in the table on harm
_MINUS = tuple(f"retrained minus: {ARM_LABELS[arm].removeprefix('control: ')}" for arm in CONTROL_ARMS)


def table_1(measured: MultitaskMeasured) -> Table:
    """Success of base and base + residual: a row a tabletop task and the average, the paper's numbers beside ours.

    Ours are a rate with its Wilson interval, or mean ± standard deviation over residual seeds where there are several.
    """
    columns = [(cell, arm) for cell in CELLS for arm in ARMS]
    rows = []
    for task in measured.tasks:
        paper = TABLE_1.get(task.tabletop_task)
        ours = (_rate(task, cell, arm) for cell, arm in columns)
        theirs = (paper.successes(cell, arm) if paper else NONE for cell, arm in columns)
        rows.append((task.tabletop_task, *ours, *theirs))
    ours = (_average(measured.average(cell, arm)) for cell, arm in columns)
    theirs = (AVERAGE.successes(cell, arm) if measured.covers_all_tasks else NONE for cell, arm in columns)
    rows.append((_average_label(measured), *ours, *theirs))
    names = {"base": "base", "residual": "base + residual"}
    our_header = (f"{cell_label(cell)}: {names[arm]}" for cell, arm in columns)
    places = {"sim": "sim", "twin": "real robot"}
    their_header = (f"paper, not ours, of {TRIALS}: {places[cell]}, {names[arm]}" for cell, arm in columns)
    return Table(("tabletop task", *our_header, *their_header), rows)


def average_table(measured: MultitaskMeasured) -> Table:
    """Base and base + residual averaged over the tabletop tasks, and their paired difference."""
    rows = [
        (cell_label(cell), percent(found["first"]), percent(found["second"]), points(found))
        for cell, found in measured.residual_averages.items()
    ]
    header = (f"{_average_label(measured)} tabletop tasks", "base", "base + residual", "difference, 95% interval")
    return Table(header, rows)


def paired_table(measured: MultitaskMeasured) -> Table:
    """What became of each initial state, by tabletop task, cell and residual seed."""
    rows = [
        (task.tabletop_task, cell_label(cell), str(evaluation["residual_seed"]), *paired_columns(entry))
        for task in measured.tasks
        for evaluation in task.evaluations
        for cell, entry in cells_of(evaluation).items()
    ]
    return Table(("tabletop task", "where", "residual seed", *PAIRED_COLUMNS), rows, text_columns=2)


def harm_table(measured: MultitaskMeasured) -> Table:
    """Do no harm: how many of the initial states that the base solved base + residual did not solve; and which."""
    rows = []
    for task in measured.tasks:
        for cell, details in task.main_episodes.items():
            solved = task.main[cell]["base"]["successes"]
            lost = [str(seed) for seed in details["do_no_harm"]]
            shown = ", ".join(lost[:SHOWN_SEEDS]) + (
                f" and {len(lost) - SHOWN_SEEDS} more" if lost[SHOWN_SEEDS:] else ""
            )
            share = percent(len(lost) / solved) if solved else NONE
            rows.append((task.tabletop_task, cell_label(cell), shown or NONE, str(solved), str(len(lost)), share))
    header = ("tabletop task", "where", "lost initial states (seeds)", "solved by the base", "lost by base + residual")
    return Table((*header, "share lost"), rows, text_columns=3)


def length_table(measured: MultitaskMeasured) -> Table:
    """Length of successful episodes, base against base + residual, where both solved the same initial state (Fig. 7b)."""
    rows = [
        (task.tabletop_task, cell_label(cell), *length_columns(entry))
        for task in measured.tasks
        for cell, entry in task.main_cells.items()
    ]
    return Table(("tabletop task", "where", *LENGTH_COLUMNS), rows, text_columns=2)


def retrained_table(measured: MultitaskMeasured) -> Table:
    """The multi-task VLA alone and its control arms: rate and Wilson interval by tabletop task, and the average."""
    rows = [
        (slug, *(rate_with_interval(entry[arm]) if arm in entry else NONE for arm in RETRAINED_ARMS))
        for slug, entry in measured.retrained.items()
    ]
    if rows:
        averages = (percent(measured.retrained_average(arm)) for arm in RETRAINED_ARMS)
        rows.append((_average_label(measured), *averages))
    return Table(
        (f"{cell_label(RETRAINED_CELL)}, without residual", *(ARM_LABELS[arm] for arm in RETRAINED_ARMS)), rows
    )


def retrained_difference_table(measured: MultitaskMeasured) -> Table:
    """The multi-task VLA minus each other arm, paired: by tabletop task, and the average."""

    def row(name: str, differences: dict[str, Json | None]) -> tuple[str, ...]:
        return (name, *(points(differences.get(arm)) for arm in CONTROL_ARMS))

    rows = []
    for slug, entry in measured.retrained.items():
        found = entry.get("differences", {})
        rows.append(row(slug, {arm: found[arm]["success_rate"] for arm in found}))
    if rows:
        rows.append(row(_average_label(measured), dict(measured.retrained_averages)))
    return Table((f"{cell_label(RETRAINED_CELL)}, without residual", *_MINUS), rows)


def retrained_length_table(measured: MultitaskMeasured) -> Table:
    """Mean length of the multi-task VLA's successful episodes, and the difference from each other arm where both solved a state."""
    rows = [
        (
            slug,
            seconds(entry["retrained"]["mean_steps_success"]),
            *(seconds_difference(entry.get("differences", {}).get(arm, {}).get("steps") or {}) for arm in CONTROL_ARMS),
        )
        for slug, entry in measured.retrained.items()
        if "mean_steps_success" in entry["retrained"]
    ]
    return Table((f"{cell_label(RETRAINED_CELL)}, without residual", "retrained", *_MINUS), rows)


def replay_table(measured: MultitaskMeasured) -> Table:
    """How many episodes (demonstrations; later rounds: rollouts) succeeded again when the training simulator repeated them."""
    rows = []
    for task in measured.tasks:
        if task.replay:
            counts = task.replay["counts"]
            share = percent(replay_success(task))
            rows.append(
                (task.tabletop_task, str(counts["episodes"]), str(counts["successes"]), share, str(counts["kept"]))
            )
    return Table(("tabletop task", "episodes", "replays that succeeded", "share", "kept"), rows)


def replay_success(task: EvaluatedTask) -> float | None:
    """Share of the episodes whose replay succeeded; one that could not be replayed counts as a failure."""
    counts = (task.replay or {}).get("counts")
    return counts["successes"] / counts["episodes"] if counts and counts["episodes"] else None


def _rate(task: EvaluatedTask, cell: str, arm: str) -> str:
    rates = task.rates(cell, arm)
    if len(rates) > 1:
        return f"{percent(task.rate(cell, arm))} ± {100 * stdev(rates):.0f}"
    return rate_with_interval(task.main_cells[cell][arm]) if rates else NONE


def _average(found: tuple[float, float | None] | None) -> str:
    mean, deviation = found or (None, None)
    return percent(mean) + (f" ± {100 * deviation:.0f}" if deviation is not None else "")


def _average_label(measured: MultitaskMeasured) -> str:
    return f"average of {len(measured.tasks)}"
