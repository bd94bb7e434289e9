"""Figures of success, learning and episode length, as reproducible SVG text.

One tabletop task's figures have a group of bars or a panel for it, several tasks' one for each.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.report.inputs import CELLS, RETRAINED_CELL, RETRAINED_VARIANTS, Measured, MeasuredTask
from ocrrl.report.json_reader import Json
from ocrrl.report.values import cell_label

COLOURS = {
    "base": "#6b7785",
    "residual": "#0b6fb8",
    "before": "#6b7785",
    "retrained": "#0a8f6a",
    "demonstrations_only": "#c98a00",
    "base_rollouts": "#b35a93",
}
SHORT_LABELS = {
    "base": "base",
    "residual": "base + residual",
    "before": "before",
    "retrained": "retrained",
    "demonstrations_only": "demonstrations only",
    "base_rollouts": "base rollouts",
}
VARIANTS = ("base", "residual")
COLUMNS = 3  # panels beside each other
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "ocrrl",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9aa3af",
    "axes.labelcolor": "#1f2937",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e7eb",
    "grid.linewidth": 0.8,
    "xtick.color": "#4b5563",
    "ytick.color": "#4b5563",
    "text.color": "#1f2937",
    "legend.frameon": False,
}


def figure(rows: int, columns: int, width: float, height: float, **options) -> tuple[Figure, np.ndarray]:
    """A figure of `width` x `height` inches and its axes (rows, columns)."""
    drawn = Figure(figsize=(width, height), layout="constrained")
    return drawn, drawn.subplots(rows, columns, squeeze=False, **options)


def to_svg(drawn: Figure) -> str:
    """`drawn` as SVG text, without date or random ids."""
    content = io.StringIO()
    drawn.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    return content.getvalue()


@mpl.rc_context(STYLE)
def success_figure(measured: Measured) -> str:
    """Base and base + residual: of one tabletop task a group of bars a cell, of several a panel a cell and their average."""
    if measured.alone:
        return to_svg(_bars_by_cell(measured.tasks[0].main_cells, VARIANTS, measured.tasks))
    drawn, axes = figure(len(CELLS), 1, 8.6, 2.6 * len(CELLS) + 0.4)
    for axis, cell in zip(axes[:, 0], CELLS, strict=True):
        entries = [task.main_cells.get(cell, {}) for task in measured.tasks]
        averages = {variant: measured.average(cell, variant) for variant in VARIANTS}
        means = {variant: found[0] for variant, found in averages.items() if found}
        _draw_bars(axis, _names(measured), [*entries, _without_interval(means)], VARIANTS)
        _draw_other_seeds(axis, measured.tasks, cell)
        axis.set_title(cell_label(cell))
    _name_lines(drawn, list(axes[:, 0]))
    return to_svg(drawn)


@mpl.rc_context(STYLE)
def retrained_figure(measured: Measured) -> str:
    """The retrained VLA and its control variants, in groups as `success_figure` has them."""
    if measured.alone:
        return to_svg(_bars_by_cell(measured.retrained[measured.name], RETRAINED_VARIANTS))
    drawn, axes = figure(1, 1, 8.6, 3.4)
    averages = {variant: measured.retrained_average(variant) for variant in RETRAINED_VARIANTS}
    means = {variant: mean for variant, mean in averages.items() if mean is not None}
    entries = [*measured.retrained_in(RETRAINED_CELL), _without_interval(means)]
    _draw_bars(axes[0, 0], _names(measured), entries, RETRAINED_VARIANTS)
    axes[0, 0].set_title(f"{cell_label(RETRAINED_CELL)}, VLA alone")
    _name_lines(drawn, axes[0])
    return to_svg(drawn)


@mpl.rc_context(STYLE)
def learning_figure(tasks: Sequence[MeasuredTask]) -> str:
    """Fig. 4: validated success and size of the residual over training, a panel a tabletop task, a line a seed, their mean too."""
    drawn, panels = task_panels(len(tasks), 2)
    for task, (success, size) in zip(tasks, panels, strict=True):
        _draw_seeds(success, task.curves, "validation_success")
        _mean_and_deviation(success, task.curves)
        if (base := task.rate("sim", "base")) is not None:
            success.axhline(base, color=COLOURS["base"], linestyle="--", label="base, held-out states")
        show_rates(success)
        _draw_seeds(size, task.curves, "residual_magnitude")
        size.set_ylim(bottom=0)
        title_panels(task, len(tasks), (success, "success on validation states"), (size, "mean |residual| / its bound"))
    _name_lines(drawn, [success for success, _ in panels])
    return to_svg(drawn)


@mpl.rc_context(STYLE)
def loss_figure(trainings: Mapping[str, Json]) -> str:
    """Training loss over optimiser steps, a line a VLA; `trainings` are their `training.json` by name."""
    drawn, axes = figure(1, 1, 7.4, 3.2)
    axis: Axes = axes[0, 0]
    for name, training in trainings.items():
        points = [(point["step"], point["loss"]) for point in training["loss"] if point["loss"] is not None]
        axis.plot(*zip(*points, strict=True) if points else ((), ()), label=name, color=COLOURS.get(name))
    axis.set_xlabel("optimiser step")
    axis.set_ylabel("loss")
    _name_lines(drawn, [axis])
    return to_svg(drawn)


def task_panels(tasks: int, figures: int) -> tuple[Figure, list[tuple[Axes, ...]]]:
    """A figure with `figures` panels a tabletop task: beside each other for one; for several, rows of `COLUMNS` for each figure."""
    if tasks == 1:
        drawn, axes = figure(1, figures, 4.3 * figures, 3.4)
        return drawn, [tuple(axes[0])]
    rows = -(-tasks // COLUMNS)
    drawn, axes = figure(rows * figures, COLUMNS, 9.2, 2.5 * rows * figures + 0.4)
    blocks = [list(axes[k * rows : (k + 1) * rows].flat) for k in range(figures)]
    for block in blocks:
        for axis in block[tasks:]:
            axis.set_visible(False)
    return drawn, list(zip(*(block[:tasks] for block in blocks), strict=True))


def title_panels(task: MeasuredTask, tasks: int, *panels: tuple[Axes, str]) -> None:
    """What each panel shows as its title; of several tabletop tasks the task's name, and what it shows beside the axis."""
    for axis, what in panels:
        axis.set_title(what if tasks == 1 else _name(task.tabletop_task))
        if tasks > 1:
            axis.set_ylabel(what, fontsize=7.5)


@mpl.rc_context(STYLE)
def length_figure(tasks: Sequence[MeasuredTask]) -> str:
    """Fig. 7(b): lengths of the successful episodes, each a dot, with quartiles and the mean (white diamond)."""
    rows = [(task, cell, variant) for task in tasks for cell in task.main_episodes for variant in VARIANTS]
    drawn, axes = figure(1, 1, 7.4, 0.75 + 0.5 * len(rows))
    axis: Axes = axes[0, 0]
    for k, (task, cell, variant) in enumerate(rows):
        episodes = task.main_episodes[cell]["episodes"]
        lengths = np.array([e[f"{variant}_steps"] for e in episodes if e[f"{variant}_success"]]) / CONTROL_HZ
        if len(lengths) == 0:
            axis.annotate("no success", (0.02, k), xycoords=("axes fraction", "data"), va="center", color="#6b7280")
            continue
        spread = 0.28 * (np.arange(len(lengths)) * 0.618 % 1 - 0.5)  # golden ratio: even, and the same every time
        axis.scatter(lengths, k + spread, s=13, color=COLOURS[variant], alpha=0.45, linewidths=0)
        box = {"color": COLOURS[variant], "linewidth": 1.6}
        axis.boxplot(
            lengths,
            positions=[k],
            orientation="horizontal",
            widths=0.5,
            showfliers=False,
            showmeans=True,
            boxprops=box,
            whiskerprops=box,
            capprops=box,
            medianprops=box | {"linewidth": 2.4},
            meanprops={"marker": "D", "markerfacecolor": "white", "markeredgecolor": COLOURS[variant], "markersize": 6},
        )
    labels = [f"{cell_label(cell).split(' ')[0]}: {SHORT_LABELS[variant]}" for _, cell, variant in rows]
    if len(tasks) > 1:
        labels = [f"{_name(task.tabletop_task)}, {label}" for (task, _, _), label in zip(rows, labels, strict=True)]
    axis.set_yticks(range(len(rows)), labels)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.set_xlim(left=0)
    axis.set_xlabel("length of successful episodes [s]")
    return to_svg(drawn)


def _bars_by_cell(cells: Mapping[str, Json], variants: Sequence[str], tasks: Sequence[MeasuredTask] = ()) -> Figure:
    drawn, axes = figure(1, 1, 7.4, 3.0)
    _draw_bars(axes[0, 0], [cell_label(cell) for cell in cells], list(cells.values()), variants)
    for k, cell in enumerate(cells):
        _draw_other_seeds(axes[0, 0], tasks, cell, first_group=k)
    _name_lines(drawn, axes[0])
    return drawn


def _name_lines(drawn: Figure, panels: Sequence[Axes]) -> None:
    """A legend below, of the panel with most lines."""
    handles, labels = max((axis.get_legend_handles_labels() for axis in panels), key=lambda found: len(found[0]))
    named = dict(zip(labels, handles, strict=True))
    drawn.legend(list(named.values()), list(named), loc="outside lower center", ncols=5, fontsize=8.5)


def _draw_bars(axis: Axes, groups: Sequence[str], entries: Sequence[Json], variants: Sequence[str]) -> None:
    """A bar for each of `variants` in each group, with its Wilson interval where `entries` has one; nothing where it is missing."""
    width = 0.8 / len(variants)
    for k, variant in enumerate(variants):
        found = [(i + _offset(k, len(variants)), entry[variant]) for i, entry in enumerate(entries) if variant in entry]
        places, rates = [place for place, _ in found], [summary["success_rate"] for _, summary in found]
        axis.bar(places, rates, width * 0.92, color=COLOURS[variant], label=SHORT_LABELS[variant])
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


def _draw_other_seeds(axis: Axes, tasks: Sequence[MeasuredTask], cell: str, first_group: int = 0) -> None:
    """A dot for base + residual of each residual seed but the main one, whose bar is drawn."""
    dots = [(i, rate) for i, task in enumerate(tasks, first_group) for rate in task.rates(cell, "residual")[1:]]
    if dots:
        places, rates = np.array(dots).T
        axis.plot(places + _offset(1, 2), rates, "o", color="#083b63", markersize=3.5, label="other residual seeds")


def _offset(bar: int, bars: int) -> float:
    """Where bar number `bar` of a group of `bars` stands, off the group's middle."""
    return (bar - (bars - 1) / 2) * 0.8 / bars


def _without_interval(means: dict[str, float]) -> Json:
    return {variant: {"success_rate": mean} for variant, mean in means.items()}


def _names(measured: Measured) -> list[str]:
    return [*(_name(task.tabletop_task) for task in measured.tasks), "average"]


def _name(slug: str) -> str:
    return slug.replace("_", " ")


def show_rates(axis: Axes) -> None:
    """Success rates upwards, 0 to 100%."""
    axis.set_ylim(-0.03, 1.03)
    axis.set_yticks(np.linspace(0, 1, 6), [f"{p:.0f}%" for p in np.linspace(0, 100, 6)])


def _draw_seeds(axis: Axes, curves: Mapping[str, list[Json]], value: str) -> None:
    """`value` of each learning curve over transitions."""
    for (name, points), style in zip(curves.items(), _line_styles(len(curves)), strict=True):
        known = [(point["transitions"], point[value]) for point in points if point.get(value) is not None]
        if known:
            label = name.replace("residual_", "seed ")
            axis.plot(*zip(*known, strict=True), color=COLOURS["residual"], marker="o", label=label, **style)
    axis.set_xlabel("transitions in simulation")
    axis.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value else "0")


def _mean_and_deviation(axis: Axes, curves: Mapping[str, list[Json]]) -> None:
    """Mean and standard deviation over seeds, as far as every seed has a validated point."""
    values = [
        {p["transitions"]: p["validation_success"] for p in points if p.get("validation_success") is not None}
        for points in curves.values()
    ]
    shared = sorted(set.intersection(*(set(known) for known in values))) if len(values) > 1 else []
    if len(shared) > 1:
        rates = np.array([[known[t] for t in shared] for known in values])
        mean, deviation = rates.mean(axis=0), rates.std(axis=0, ddof=1)
        axis.fill_between(
            shared, mean - deviation, mean + deviation, color=COLOURS["residual"], alpha=0.15, linewidth=0
        )
        axis.plot(shared, mean, color=COLOURS["residual"], linewidth=2.6, label="mean ± standard deviation")


def _line_styles(count: int) -> list[dict]:
    if count == 1:
        return [{"linewidth": 2.2, "markersize": 4.5}]
    lines = ("-", "--", ":", "-.")
    return [{"linewidth": 1.0, "markersize": 2.5, "linestyle": lines[k % len(lines)]} for k in range(count)]
