"""Sentences of a report: the summary, the targets, and what is below a target or the paper."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ocrrl.interface.cells import TWINS
from ocrrl.report.inputs import CELLS, RETRAINED_CELL, Measured, MeasuredTask
from ocrrl.report.json_reader import Json
from ocrrl.report.paper_results import TABLE_1, TRIALS
from ocrrl.report.table import Table
from ocrrl.report.tables import replay_success
from ocrrl.report.values import NONE, STEPS_PER_SECOND, cell_label, percent, points

TWIN_STATEMENT = "Every number marked twin comes from a simulated stand-in for the lab, not from a robot."
NO_ROBOT = "Nothing here was measured on a robot; the paper's main claim is about one."
LEAST_IN_SIM = {"cube_lift": 0.95, "close_drawer": 0.86}
LEAST_IN_SIM_ELSEWHERE = 0.73
"""Success that base + residual should reach in simulation."""
NOTHING = "nothing"
STATES = {True: "reached", False: "MISSED", None: "not measured"}
HARD_TASKS = tuple(slug for slug in TABLE_1 if slug not in LEAST_IN_SIM)


@dataclass(frozen=True)
class Target:
    """`text` says what should be reached, `measured` what was; `reached` is None when it was not measured."""

    text: str
    measured: str
    reached: bool | None


def target_table(targets: Sequence[Target]) -> Table:
    """A row for each of `targets`."""
    rows = [(target.text, target.measured, STATES[target.reached]) for target in targets]
    return Table(("target", "measured", "state"), rows, text_columns=3)


def summary_sentences(measured: Measured) -> list[str]:
    """One to five sentences for the top of the page; the last is on twins where a number is one's."""
    sentences = _of_one_task(measured) if measured.alone else _of_several_tasks(measured)
    cells = {cell for task in measured.tasks for cell in task.main_cells}
    cells |= {cell for found in measured.retrained.values() for cell in found}
    statement = [TWIN_STATEMENT] if any(cell in TWINS for cell in cells) else []
    return [*(sentences or ["Nothing has been evaluated yet."]), *statement]


def _of_one_task(measured: Measured) -> list[str]:
    sentences = []
    (task,) = measured.tasks
    for cell, entry in task.main_cells.items():
        elsewhere = f"In the {cell_label(cell)}, which it had never seen in training"
        where = "In the simulator where the residual was trained" if cell == "sim" else elsewhere
        sentences.append(
            f"{where}, the base VLA alone solved {_of(entry['base'])} and base + residual {_of(entry['residual'])} "
            "from the same initial states."
        )
    for cell, entry in measured.retrained.get(task.tabletop_task, {}).items():
        sentences.append(
            f"The VLA retrained on corrected rollouts, without a residual, solved {_of(entry['retrained'])} in the "
            f"{cell_label(cell)}"
            + (f"; before retraining it was {_of(entry['before'])}." if "before" in entry else ".")
        )
    return sentences


def _of_several_tasks(measured: Measured) -> list[str]:
    sentences = []
    where = {"sim": "In the simulator where the residuals were trained", "twin": "In the twin (simulated), zero-shot"}
    for cell, found in measured.residual_averages.items():
        sentences.append(
            f"{where[cell]}, base + residual solved {percent(found['second'])} on average over {found['tasks']} tabletop "
            f"tasks, the base VLAs alone {percent(found['first'])}: a paired difference of {points(found)}."
        )
    if found := measured.retrained_averages.get("before"):
        sentences.append(
            f"One VLA retrained on all tasks' corrected rollouts, without a residual, solved {percent(found['second'])} "
            f"in the twin (simulated); each task's own VLA before had {percent(found['first'])}."
        )
    return sentences or ["No average over all tabletop tasks has been measured yet."]


def targets(measured: Measured) -> list[Target]:
    """The project's targets and how they stand; Cube Lift, the first tabletop task, has more of its own than the others."""
    if not measured.alone:
        return _of_the_average(measured)
    (task,) = measured.tasks
    return _of_cube_lift(task, measured) if task.tabletop_task == "cube_lift" else _of_a_task(task)


def _of_a_task(task: MeasuredTask) -> list[Target]:
    sim, twin = task.main_cells.get("sim"), task.main_cells.get("twin")
    least = LEAST_IN_SIM.get(task.tabletop_task, LEAST_IN_SIM_ELSEWHERE)
    not_below = "base + residual not below its base (95% interval reaches 0)"
    return [
        _rate("sim: base succeeds in 10 to 70%", sim, "base", 0.10, 0.70),
        _rate(f"sim: base + residual in at least {percent(least)}", sim, "residual", least),
        _difference(f"sim: {not_below}", (sim or {}).get("difference"), _not_below_zero),
        _difference(f"twin: {not_below}", (twin or {}).get("difference"), _not_below_zero),
    ]


def _of_cube_lift(task: MeasuredTask, measured: Measured) -> list[Target]:
    sim, twin = task.main_cells.get("sim"), task.main_cells.get("twin")
    differences = measured.retrained_in(RETRAINED_CELL)[0].get("differences", {})
    before, demonstrations, base_rollouts = (
        differences.get(variant, {}).get("success_rate")
        for variant in ("before", "demonstrations_only", "base_rollouts")
    )
    gain = twin["residual"]["success_rate"] - twin["base"]["success_rate"] if twin else None
    return [
        _rate("sim: base succeeds in 15 to 60%", sim, "base", 0.15, 0.60),
        _rate("sim: base + residual in at least 95%", sim, "residual", LEAST_IN_SIM["cube_lift"]),
        _every_seed(task),
        _rate("twin, zero-shot: base + residual in at least 85%", twin, "residual", 0.85),
        _judged(
            "twin: at least 30 points above its base", gain, lambda g: f"{100 * g:+.0f} points", lambda g: g >= 0.30
        ),
        _difference("retrained VLA better than before (95% interval above 0)", before, _above_zero),
        _difference("retrained VLA better than demonstrations only", demonstrations, _above_zero),
        _difference("retrained VLA not below the base-rollouts variant", base_rollouts, lambda d: d["difference"] >= 0),
    ]


def _of_the_average(measured: Measured) -> list[Target]:
    """Over all tabletop tasks; a later round starts from VLAs that are good already."""
    of_twin = measured.residual_averages.get("twin") if measured.covers_all_tasks else None
    of_round = [
        _by_task(
            "sim: every base in 10 to 70%",
            measured,
            lambda task: task.rate("sim", "base"),
            lambda rate: 0.10 <= rate <= 0.70,
        ),
        _difference(
            "twin: five-task average at least 30 points above the bases'", of_twin, lambda d: d["difference"] >= 0.30
        ),
        _retrained("at least 15 points above the VLAs before", measured, "before", lambda d: d["difference"] >= 0.15),
    ]
    if measured.round > 0:
        of_round = [_retrained("not below the round before's (95% interval)", measured, "before", _not_below_zero)]
    return [
        _average("sim: five-task average of base + residual at least 86%", measured, "sim", 0.86, aim=0.95),
        _by_task(
            f"sim: base + residual at least {percent(LEAST_IN_SIM_ELSEWHERE)} on {', '.join(HARD_TASKS)}",
            measured,
            lambda task: task.rate("sim", "residual"),
            lambda rate: rate >= LEAST_IN_SIM_ELSEWHERE,
            only=HARD_TASKS,
        ),
        *(_no_harm(measured, cell) for cell in CELLS),
        _average("twin: five-task average of base + residual at least 76%", measured, "twin", 0.76, aim=0.85),
        _retrained(
            "above the variant demonstrations only (95% interval)", measured, "demonstrations_only", _above_zero
        ),
        _retrained("above the variant base rollouts (95% interval)", measured, "base_rollouts", _above_zero),
        *(_shorter(measured, cell) for cell in CELLS),
        _by_task(
            "replay in simulation: every task at least 80% success", measured, replay_success, lambda r: r >= 0.80
        ),
        *of_round,
    ]


def shortfalls(measured: Measured) -> list[str]:
    """Sentences on what fell short of the paper or of a wish; the targets are a table of their own."""
    found = []
    for task in measured.tasks:
        told = [*_below_the_paper(task), *(_spoiled(task) if measured.alone else ()), *_too_few_rollouts(task)]
        found += told if measured.alone else [f"{task.tabletop_task}: {sentence}" for sentence in told]
    cells = {cell for task in measured.tasks for cell in task.main_cells}
    return found if cells - {*TWINS, "sim"} else [*found, NO_ROBOT]


def _below_the_paper(task: MeasuredTask) -> list[str]:
    paper, rate = TABLE_1.get(task.tabletop_task), task.rate("sim", "residual")
    if not paper or rate is None or rate >= paper.sim_residual[0] / TRIALS:
        return []
    return [
        f"Below the paper in simulation: base + residual {percent(rate)}, "
        f"the paper {percent(paper.sim_residual[0] / TRIALS)} (another simulator, another base VLA)."
    ]


def _spoiled(task: MeasuredTask) -> list[str]:
    return [
        f"The residual spoiled {harmed} of {entry['base']['episodes']} initial states in {cell_label(cell)}."
        for cell, entry in task.main_cells.items()
        if (harmed := entry["paired"]["only_base"])
    ]


def _too_few_rollouts(task: MeasuredTask) -> list[str]:
    return [
        f"Only {summary['recorded']} of the {summary['wanted']} wanted {policy} rollouts succeeded within "
        f"{summary['attempts']['episodes']} attempts; both retraining variants were given no more than that."
        for policy, summary in task.rollouts.items()
        if summary["recorded"] < summary["wanted"]
    ]


def _of(summary: Json) -> str:
    return f"{summary['successes']} of {summary['episodes']} ({percent(summary['success_rate'])})"


def _judged[V](text: str, value: V | None, show: Callable[[V], str], reached: Callable[[V], bool]) -> Target:
    """A target on `value`, None where that was not measured."""
    return Target(text, NOTHING, None) if value is None else Target(text, show(value), reached(value))


def _difference(text: str, difference: Json | None, reached: Callable[[Json], bool]) -> Target:
    """On a difference of success rates with its interval."""
    return _judged(text, difference or None, points, reached)


def _above_zero(difference: Json) -> bool:
    """Whether the whole interval is above zero."""
    return difference["low"] > 0


def _not_below_zero(difference: Json) -> bool:
    """Whether the interval reaches up to zero: not significantly below it."""
    return difference["high"] >= 0


def _rate(text: str, cell: Json | None, variant: str, least: float, most: float = 1.0) -> Target:
    return _judged(text, cell[variant]["success_rate"] if cell else None, percent, lambda rate: least <= rate <= most)


def _every_seed(task: MeasuredTask) -> Target:
    rates = task.rates("sim", "residual")
    text = "sim: three residual seeds all at least 90%"
    if len(rates) < 3:
        return Target(text, f"{len(rates)} seed(s) here; the others are run by the benchmark", None)
    return Target(text, ", ".join(percent(rate) for rate in rates), all(rate >= 0.90 for rate in rates))


def _by_task(
    text: str,
    measured: Measured,
    value: Callable[[MeasuredTask], float | None],
    reached: Callable[[float], bool],
    only: tuple[str, ...] | None = None,
    show: Callable[[float], str] = percent,
) -> Target:
    """On a value of each tabletop task, or of those in `only`: missed where one missed it, else not measured where one was not."""
    found = {task.tabletop_task: value(task) for task in measured.tasks}
    values = {slug: found.get(slug) for slug in only or found}
    shown = ", ".join(f"{slug} {NONE if v is None else show(v)}" for slug, v in values.items())
    known = [v for v in values.values() if v is not None]
    if not known:
        return Target(text, NOTHING, None)
    complete = len(known) == len(values) and (only is not None or measured.covers_all_tasks)
    return Target(text, shown, (True if complete else None) if all(map(reached, known)) else False)


def _average(text: str, measured: Measured, cell: str, least: float, aim: float) -> Target:
    found = measured.average(cell, "residual") if measured.covers_all_tasks else None

    def show(rate: float) -> str:
        return f"{100 * rate:.1f}%; {percent(aim)}, the aim, {'reached' if rate >= aim else 'missed'}"

    return _judged(text, found[0] if found else None, show, lambda rate: rate >= least)


def _retrained(text: str, measured: Measured, variant: str, reached: Callable[[Json], bool]) -> Target:
    found = measured.retrained_averages.get(variant) if measured.covers_all_tasks else None
    return _difference(f"twin: multi-task VLA's five-task average {text}", found, reached)


def _no_harm(measured: Measured, cell: str) -> Target:
    """Judged by each tabletop task's paired 95% interval, of every residual seed."""

    def least_upper_end(task: MeasuredTask) -> float | None:
        found = [e[cell]["difference"] for e in task.evaluations if e.get(cell, {}).get("difference")]
        return min((d["high"] for d in found), default=None)

    return _by_task(
        f"{cell}: no task significantly below its base (upper end of the paired 95% interval)",
        measured,
        least_upper_end,
        lambda high: _not_below_zero({"high": high}),
        show=lambda high: f"{100 * high:+.0f} points",
    )


def _shorter(measured: Measured, cell: str) -> Target:
    """Judged by the interval of the difference over the initial states that both solved, of the first residual seed."""

    def upper_end(task: MeasuredTask) -> float | None:
        return (task.main.get(cell, {}).get("steps_difference") or {}).get("high")

    return _by_task(
        f"{cell}: successes shorter with the residual in every task (upper end of the 95% interval)",
        measured,
        upper_end,
        lambda high: high < 0,
        show=lambda high: f"{high / STEPS_PER_SECOND:+.2f} s",
    )
