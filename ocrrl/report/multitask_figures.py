"""The figures over all tabletop tasks: success, learning curves (Fig. 4), the residual's direction (Fig. 7a), as SVG text."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from ocrrl.report.figures import COLOURS, SHORT_LABELS, STYLE, draw_validation, figure, show_rates, to_svg
from ocrrl.report.inputs import EvaluatedTask, cell_label
from ocrrl.report.json_reader import Json
from ocrrl.report.multitask_inputs import CELLS, RETRAINED_ARMS, RETRAINED_CELL, MultitaskMeasured
from ocrrl.report.residual_figures import draw_cosines

COLUMNS = 3  # panels beside each other
BASE_AND_RESIDUAL = ("base", "residual")


@mpl.rc_context(STYLE)
def success_figure(measured: MultitaskMeasured) -> str:
    """Base and base + residual by tabletop task, and their average: a panel a cell."""
    drawn, axes = figure(len(CELLS), 1, 8.6, 2.6 * len(CELLS) + 0.4)
    for axis, cell in zip(axes[:, 0], CELLS, strict=True):
        entries = [task.main_cells.get(cell, {}) for task in measured.tasks]
        averages = {arm: measured.average(cell, arm) for arm in BASE_AND_RESIDUAL}
        means = {arm: found[0] for arm, found in averages.items() if found}
        _draw_bars(axis, _names(measured), [*entries, _without_interval(means)], BASE_AND_RESIDUAL)
        _draw_other_seeds(axis, measured.tasks, cell)
        axis.set_title(cell_label(cell))
    drawn.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    return to_svg(drawn)


@mpl.rc_context(STYLE)
def retrained_figure(measured: MultitaskMeasured) -> str:
    """The multi-task VLA and its control arms by tabletop task, and their average."""
    drawn, axes = figure(1, 1, 8.6, 3.4)
    entries = [measured.retrained.get(task.tabletop_task, {}) for task in measured.tasks]
    averages = {arm: measured.retrained_average(arm) for arm in RETRAINED_ARMS}
    means = {arm: mean for arm, mean in averages.items() if mean is not None}
    _draw_bars(axes[0, 0], _names(measured), [*entries, _without_interval(means)], RETRAINED_ARMS)
    axes[0, 0].set_title(f"{cell_label(RETRAINED_CELL)}, VLA alone")
    drawn.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
    return to_svg(drawn)


@mpl.rc_context(STYLE)
def learning_figure(tasks: Sequence[EvaluatedTask]) -> str:
    """Fig. 4: success on validation states over training, a panel a tabletop task, a thin line a seed, and their mean."""
    drawn, panels = _panels(len(tasks), 2.5)
    for axis, task in zip(panels, tasks, strict=True):
        draw_validation(axis, task.curves, task.rate("sim", "base"))
        axis.set_title(_name(task.tabletop_task))
    # The panel with most lines names them all.
    handles = max((axis.get_legend_handles_labels() for axis in panels), key=lambda found: len(found[0]))
    drawn.legend(*handles, loc="outside lower center", ncols=5, fontsize=8.5)
    return to_svg(drawn)


@mpl.rc_context(STYLE)
def alignment_figure(tasks: Sequence[EvaluatedTask]) -> str:
    """Fig. 7(a): the residual's cosine with the object's direction by the base action's, a panel a tabletop task."""
    drawn, panels = _panels(len(tasks), 2.6)
    for axis, task in zip(panels, tasks, strict=True):
        draw_cosines(axis, task.main_cells)
        axis.set_title(_name(task.tabletop_task))
        axis.tick_params(axis="x", labelsize=6.5)
        axis.set_xlabel("base action's cosine", fontsize=8.5)
    for axis in panels[::COLUMNS]:
        axis.set_ylabel("residual's cosine, mean ± s.e.", fontsize=8.5)
    handles = max((axis.get_legend_handles_labels() for axis in panels), key=lambda found: len(found[0]))
    drawn.legend(*handles, loc="outside lower center", ncols=4, fontsize=9)
    return to_svg(drawn)


def _panels(count: int, height: float):
    """A figure with `count` panels in rows of `COLUMNS`, each `height` inches high; places left over stay empty."""
    rows = -(-count // COLUMNS)
    drawn, axes = figure(rows, COLUMNS, 9.2, height * rows + 0.4)
    panels = list(axes.flat)
    for axis in panels[count:]:
        axis.set_visible(False)
    return drawn, panels[:count]


def _draw_bars(axis: Axes, groups: Sequence[str], entries: Sequence[Json], arms: Sequence[str]) -> None:
    """A bar for each of `arms` in each group, with its Wilson interval where `entries` has one; nothing where it is missing."""
    width = 0.8 / len(arms)
    for k, arm in enumerate(arms):
        found = [(i + _offset(k, len(arms)), entry[arm]) for i, entry in enumerate(entries) if arm in entry]
        places, rates = [place for place, _ in found], [summary["success_rate"] for _, summary in found]
        axis.bar(places, rates, width * 0.92, color=COLOURS[arm], label=SHORT_LABELS[arm])
        for place, summary in found:
            rate, low, high = (summary.get(name) for name in ("success_rate", "wilson_low", "wilson_high"))
            if high is not None:
                spread = [[rate - low], [high - rate]]
                axis.errorbar(place, rate, yerr=spread, fmt="none", ecolor="#374151", elinewidth=1.1, capsize=2.5)
            above = (place, rate if high is None else high)
            axis.annotate(f"{100 * rate:.0f}", above, (0, 2), textcoords="offset points", ha="center", fontsize=7.5)
    axis.set_xticks(range(len(groups)), groups)
    axis.grid(axis="x", visible=False)
    show_rates(axis)
    axis.set_ylim(0, 1.1)


def _draw_other_seeds(axis: Axes, tasks: Sequence[EvaluatedTask], cell: str) -> None:
    """A dot for base + residual of each residual seed but the main one, whose bar is drawn."""
    dots = [(i, rate) for i, task in enumerate(tasks) for rate in task.rates(cell, "residual")[1:]]
    if dots:
        places, rates = np.array(dots).T
        axis.plot(places + _offset(1, 2), rates, "o", color="#083b63", markersize=3.5, label="other residual seeds")


def _offset(bar: int, bars: int) -> float:
    """Where bar number `bar` of a group of `bars` stands, off the group's middle."""
    return (bar - (bars - 1) / 2) * 0.8 / bars


def _without_interval(means: dict[str, float]) -> Json:
    return {arm: {"success_rate": mean} for arm, mean in means.items()}


def _names(measured: MultitaskMeasured) -> list[str]:
    return [*(_name(task.tabletop_task) for task in measured.tasks), "average"]


def _name(slug: str) -> str:
    return slug.replace("_", " ")
