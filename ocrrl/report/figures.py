"""The report's figures on success, learning and episode length, as SVG text; the same values give the same bytes."""

import io
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.report.inputs import cell_label
from ocrrl.report.json_reader import Json

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
def success_figure(cells: Mapping[str, Json], arms: tuple[str, ...]) -> str:
    """Success rates with Wilson intervals: a row for each of `arms`, in each cell."""
    rows = [(cell, arm) for cell in cells for arm in arms if arm in cells[cell]]
    drawn, axes = figure(1, 1, 7.4, 0.75 + 0.42 * len(rows))
    axis: Axes = axes[0, 0]
    for k, (cell, arm) in enumerate(rows):
        summary = cells[cell][arm]
        rate = summary["success_rate"]
        spread = [[rate - summary["wilson_low"]], [summary["wilson_high"] - rate]]
        axis.errorbar(rate, k, xerr=spread, fmt="o", color=COLOURS[arm], markersize=7, linewidth=2.4, capsize=4)
        axis.annotate(f"{100 * rate:.0f}%", (rate, k), (0, 8), textcoords="offset points", ha="center", fontsize=9)
    axis.set_yticks(range(len(rows)), [f"{cell_label(cell).split(' ')[0]}: {SHORT_LABELS[arm]}" for cell, arm in rows])
    axis.set_ylim(len(rows) - 0.5, -0.7)
    axis.set_xlim(-0.02, 1.04)
    axis.set_xticks(np.linspace(0, 1, 6), [f"{p:.0f}%" for p in np.linspace(0, 100, 6)])
    axis.set_xlabel("success rate, with 95% Wilson interval")
    return to_svg(drawn)


@mpl.rc_context(STYLE)
def learning_figure(curves: Mapping[str, list[Json]], base_rate: float | None) -> str:
    """Fig. 4: validated success and size of the residual over training, a line a seed, mean and deviation too."""
    drawn, (axes,) = figure(1, 2, 8.6, 3.4, width_ratios=[3, 2])
    success, size = axes
    draw_validation(success, curves, base_rate)
    success.set_title("success on validation states")
    _draw_seeds(size, curves, "residual_magnitude")
    size.set_title("size of the residual")
    size.set_ylabel("mean |residual| / its bound")
    size.set_ylim(bottom=0)
    drawn.legend(*success.get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=8.5)
    return to_svg(drawn)


def draw_validation(axis: Axes, curves: Mapping[str, list[Json]], base_rate: float | None) -> None:
    """Success on validation states over transitions: a line a seed, their mean and deviation, the base's rate."""
    _draw_seeds(axis, curves, "validation_success")
    _mean_and_deviation(axis, curves)
    if base_rate is not None:
        axis.axhline(base_rate, color=COLOURS["base"], linestyle="--", label="base, held-out states")
    show_rates(axis)


def show_rates(axis: Axes) -> None:
    """Success rates upwards, 0 to 100%."""
    axis.set_ylim(-0.03, 1.03)
    axis.set_yticks(np.linspace(0, 1, 6), [f"{p:.0f}%" for p in np.linspace(0, 100, 6)])


@mpl.rc_context(STYLE)
def length_figure(cells: Mapping[str, Json]) -> str:
    """Fig. 7(b): lengths of the successful episodes, each a dot, with quartiles and the mean (white diamond)."""
    arms = ("base", "residual")
    rows = [(cell, arm) for cell in cells for arm in arms]
    drawn, axes = figure(1, 1, 7.4, 0.75 + 0.5 * len(rows))
    axis: Axes = axes[0, 0]
    for k, (cell, arm) in enumerate(rows):
        episodes = cells[cell]["episodes"]
        lengths = np.array([e[f"{arm}_steps"] for e in episodes if e[f"{arm}_success"]]) / CONTROL_HZ
        if len(lengths) == 0:
            axis.annotate("no success", (0.02, k), xycoords=("axes fraction", "data"), va="center", color="#6b7280")
            continue
        spread = 0.28 * (np.arange(len(lengths)) * 0.618 % 1 - 0.5)  # golden ratio: even, and the same every time
        axis.scatter(lengths, k + spread, s=13, color=COLOURS[arm], alpha=0.45, linewidths=0)
        box = {"color": COLOURS[arm], "linewidth": 1.6}
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
            meanprops={"marker": "D", "markerfacecolor": "white", "markeredgecolor": COLOURS[arm], "markersize": 6},
        )
    axis.set_yticks(range(len(rows)), [f"{cell_label(cell).split(' ')[0]}: {SHORT_LABELS[arm]}" for cell, arm in rows])
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.set_xlim(left=0)
    axis.set_xlabel("length of successful episodes [s]")
    return to_svg(drawn)


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
