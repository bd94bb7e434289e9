"""What the numbers over all tabletop tasks amount to: the summary, the targets, and what falls short."""

from collections.abc import Callable

from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.report.inputs import EvaluatedTask
from ocrrl.report.json_reader import Json
from ocrrl.report.multitask_inputs import CELLS, MultitaskMeasured
from ocrrl.report.multitask_tables import replay_success
from ocrrl.report.targets import NOTHING, Target, above_zero, difference_target, missed, not_below_zero
from ocrrl.report.values import NONE, percent, points
from ocrrl.report.verdicts import NO_ROBOT, TWIN_STATEMENT, below_the_paper

HARD_TASKS = ("pick_and_place", "stack_cube", "stand_cup_up")
LEAST_IN_HARD_TASKS = 0.73


def summary_sentences(measured: MultitaskMeasured) -> list[str]:
    """One to four sentences for the top of the page; the last is on twins where a number is one's."""
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
    return [*(sentences or ["No average over all tabletop tasks has been measured yet."]), TWIN_STATEMENT]


def targets(measured: MultitaskMeasured) -> list[Target]:
    """The targets over all tabletop tasks and how they stand; a later round starts from VLAs that are good already."""
    of_round = _of_the_first_round(measured) if measured.round == 0 else _of_a_later_round(measured)
    return [
        _average("sim: five-task average of base + residual at least 86%", measured, "sim", 0.86, aim=0.95),
        _by_task(
            f"sim: base + residual at least {percent(LEAST_IN_HARD_TASKS)} on {', '.join(HARD_TASKS)}",
            measured,
            _sim_rate("residual"),
            lambda rate: rate >= LEAST_IN_HARD_TASKS,
            only=HARD_TASKS,
        ),
        *(_no_harm(measured, cell) for cell in CELLS),
        _average("twin: five-task average of base + residual at least 76%", measured, "twin", 0.76, aim=0.85),
        _retrained("above the arm demonstrations only (95% interval)", measured, "demonstrations_only", above_zero),
        _retrained("above the arm base rollouts (95% interval)", measured, "base_rollouts", above_zero),
        *(_shorter(measured, cell) for cell in CELLS),
        _by_task(
            "replay in simulation: every task at least 80% success", measured, replay_success, lambda r: r >= 0.80
        ),
        *of_round,
    ]


def _of_the_first_round(measured: MultitaskMeasured) -> list[Target]:
    return [
        _by_task("sim: every base in 10 to 70%", measured, _sim_rate("base"), lambda rate: 0.10 <= rate <= 0.70),
        _gain(measured),
        _retrained("at least 15 points above the VLAs before", measured, "before", lambda d: d["difference"] >= 0.15),
    ]


def _of_a_later_round(measured: MultitaskMeasured) -> list[Target]:
    return [_retrained("not below the round before's (95% interval)", measured, "before", not_below_zero)]


def shortfalls(measured: MultitaskMeasured) -> list[str]:
    """Sentences on what fell short of a target, of the paper, or could not be measured."""
    below = [f"{task.tabletop_task}: {said}" for task in measured.tasks for said in below_the_paper(task)]
    return [*missed(targets(measured)), *below, NO_ROBOT]


def _by_task(
    text: str,
    measured: MultitaskMeasured,
    value: Callable[[EvaluatedTask], float | None],
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
    if not all(map(reached, known)):
        return Target(text, shown, False)
    return Target(text, shown, True if complete else None)


def _sim_rate(arm: str) -> Callable[[EvaluatedTask], float | None]:
    return lambda task: task.rate("sim", arm)


def _average(text: str, measured: MultitaskMeasured, cell: str, least: float, aim: float) -> Target:
    found = measured.average(cell, "residual") if measured.covers_all_tasks else None
    if found is None:
        return Target(text, NOTHING, None)
    rate, _ = found
    note = f"{percent(aim)}, the aim, {'reached' if rate >= aim else 'missed'}"
    return Target(text, f"{100 * rate:.1f}%; {note}", rate >= least)


def _gain(measured: MultitaskMeasured) -> Target:
    found = measured.residual_averages.get("twin") if measured.covers_all_tasks else None
    return difference_target(
        "twin: five-task average at least 30 points above the bases'", found, lambda d: d["difference"] >= 0.30
    )


def _retrained(text: str, measured: MultitaskMeasured, arm: str, reached: Callable[[Json], bool]) -> Target:
    found = measured.retrained_averages.get(arm) if measured.covers_all_tasks else None
    return difference_target(f"twin: multi-task VLA's five-task average {text}", found, reached)


def _no_harm(measured: MultitaskMeasured, cell: str) -> Target:
    """Judged by each tabletop task's paired 95% interval, of every residual seed."""

    def least_upper_end(task: EvaluatedTask) -> float | None:
        found = [e[cell]["difference"] for e in task.evaluations if e.get(cell, {}).get("difference")]
        return min((d["high"] for d in found), default=None)

    return _by_task(
        f"{cell}: no task significantly below its base (upper end of the paired 95% interval)",
        measured,
        least_upper_end,
        lambda high: not_below_zero({"high": high}),
        show=lambda high: f"{100 * high:+.0f} points",
    )


def _shorter(measured: MultitaskMeasured, cell: str) -> Target:
    """Judged by the interval of the difference over the initial states that both solved, of the first residual seed."""

    def upper_end(task: EvaluatedTask) -> float | None:
        steps = (task.evaluations[0].get(cell, {}) if task.evaluations else {}).get("steps_difference") or {}
        return steps.get("high")

    return _by_task(
        f"{cell}: successes shorter with the residual in every task (upper end of the 95% interval)",
        measured,
        upper_end,
        lambda high: high < 0,
        show=lambda high: f"{high / CONTROL_HZ:+.2f} s",
    )
