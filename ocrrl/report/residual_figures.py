"""Figures of when and in which direction the residual acts (Fig. 5, 7a), as SVG text."""

from collections.abc import Callable, Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ocrrl.report.figures import COLOURS, STYLE, figure, task_panels, title_panels, to_svg
from ocrrl.report.inputs import MeasuredTask
from ocrrl.report.json_reader import Json
from ocrrl.report.values import cell_label

ARROW_LENGTH = 4.0  # arrows are drawn so many times as long as the step they stand for
ARROWS = 16  # per episode
_CENTIMETRES = 100.0
_CELL_COLOURS = (COLOURS["residual"], "#e07b39", "#6d4aa8", "#0a8f6a")
_VIEWS = (("seen from above", 0, 1, "x [cm]", "y [cm]"), ("seen from the side", 0, 2, "x [cm]", "z [cm]"))


@mpl.rc_context(STYLE)
def arrows_figure(cells: Mapping[str, Json], episodes_per_cell: int = 2) -> str:
    """Fig. 5: the gripper's way with base action and residual at each step, until it is at the object.

    A column an episode of base + residual, seen from above and from the side.
    """
    chosen = [(cell, trace) for cell, entry in cells.items() for trace in entry["traces"][:episodes_per_cell]]
    drawn, axes = figure(2, len(chosen), 2.75 * len(chosen) + 0.4, 6.2)
    for column, (cell, trace) in enumerate(chosen):
        for axis, (view, across, up, across_label, up_label) in zip(axes[:, column], _VIEWS, strict=True):
            _draw_way(axis, trace, across, up)
            axis.set_xlabel(across_label)
            axis.set_ylabel(up_label)
            if view == _VIEWS[0][0]:
                ending = "success" if trace["success"] else "failure"
                axis.set_title(f"{cell_label(cell).split(' ')[0]}, seed {trace['seed']}\n{ending}", fontsize=9.5)
    handles = [
        Line2D([], [], color="#9aa3af", linewidth=1.2, label="gripper's way"),
        Line2D([], [], color=COLOURS["base"], linewidth=3, label="base action"),
        Line2D([], [], color=COLOURS["residual"], linewidth=3, label="residual"),
        Line2D([], [], color="#b45309", marker="*", markersize=11, linewidth=0, label="object"),
    ]
    drawn.legend(handles=handles, loc="outside upper center", ncols=4, fontsize=9)
    return to_svg(drawn)


@mpl.rc_context(STYLE)
def alignment_figure(tasks: Sequence[MeasuredTask]) -> str:
    """Fig. 7(a): direction and size of the residual, by how well the base alone points to the object; panels a tabletop task."""
    drawn, panels = task_panels(len(tasks), 2)
    for task, (cosine, size) in zip(tasks, panels, strict=True):
        cells = task.main_cells
        _draw_bins(cosine, cells, lambda found: found["mean_cosine"], lambda found: found["standard_error"] or 0.0)
        cosine.set_ylim(-1.05, 1.05)
        cosine.axhline(0, color="#9aa3af", linewidth=0.9)
        _draw_bins(size, cells, lambda found: 1000 * found["mean_residual"])
        title_panels(task, len(tasks), (cosine, "residual's cosine, mean ± s.e."), (size, "mean translation [mm]"))
        for axis in (cosine, size):
            axis.set_xlabel(
                "base action's cosine with the object's direction", fontsize=8.5 if len(tasks) == 1 else 6.5
            )
            axis.tick_params(axis="x", labelsize=8.5 if len(tasks) == 1 else 6)
    handles = max(
        (axis.get_legend_handles_labels() for pair in panels for axis in pair), key=lambda found: len(found[0])
    )
    drawn.legend(*handles, loc="outside lower center", ncols=4, fontsize=9)
    return to_svg(drawn)


def _draw_bins(
    axis: Axes,
    cells: Mapping[str, Json],
    height: Callable[[Json], float],
    error: Callable[[Json], float] | None = None,
) -> None:
    """A bar for each bin of base alignment that holds a step, side by side for `cells`."""
    width = 0.8 / max(len(cells), 1)
    labels: list[str] = []
    for k, (cell, entry) in enumerate(cells.items()):
        bins = entry.get("alignment") or []
        labels = [f"{b['base_alignment_low']:g} to {b['base_alignment_high']:g}" for b in bins] or labels
        filled = [(i, b) for i, b in enumerate(bins) if b["steps"]]
        if not filled:
            continue
        axis.bar(
            [i + (k - (len(cells) - 1) / 2) * width for i, _ in filled],
            [height(b) for _, b in filled],
            width * 0.92,
            yerr=[error(b) for _, b in filled] if error else None,
            color=_CELL_COLOURS[k % len(_CELL_COLOURS)],
            label=cell_label(cell),
            capsize=3,
            ecolor="#374151",
        )
    axis.set_xticks(range(len(labels)), labels)
    axis.grid(axis="x", visible=False)


def _draw_way(axis: Axes, trace: Json, across: int, up: int) -> None:
    gripper = _CENTIMETRES * np.array(trace["gripper_positions"], float)
    target = _CENTIMETRES * np.array(trace["object_positions"], float)[:, 0]
    base = _CENTIMETRES * np.array(trace["base_actions"], float)[:, :3]
    residual = _CENTIMETRES * np.array(trace["residuals"], float)[:, :3]
    arrived = np.flatnonzero(np.linalg.norm(target - gripper, axis=-1) < 2.0)
    end = int(arrived[0]) + 1 if len(arrived) else len(gripper)
    drawn = np.unique(np.linspace(0, end - 1, min(ARROWS, end)).astype(int))
    axis.plot(gripper[:end, across], gripper[:end, up], color="#9aa3af", linewidth=1.2, zorder=1)
    for steps, colour, order in ((base, COLOURS["base"], 2), (residual, COLOURS["residual"], 3)):
        axis.quiver(
            gripper[drawn, across],
            gripper[drawn, up],
            ARROW_LENGTH * steps[drawn, across],
            ARROW_LENGTH * steps[drawn, up],
            color=colour,
            angles="xy",
            scale_units="xy",
            scale=1.0,
            width=0.011,
            headwidth=3.4,
            zorder=order,
        )
    # Where the object was when the gripper set out: later it may be carried.
    axis.plot(target[0, across], target[0, up], "*", color="#b45309", markersize=14, zorder=4)
    tips = np.concatenate(
        [gripper[drawn] + ARROW_LENGTH * base[drawn], gripper[drawn] + ARROW_LENGTH * residual[drawn]]
    )
    seen = np.concatenate([gripper[:end], target[:1], tips])[:, [across, up]]
    middle, half = (seen.max(axis=0) + seen.min(axis=0)) / 2, (seen.max(axis=0) - seen.min(axis=0)).max() / 2 + 1.5
    axis.set_xlim(middle[0] - half, middle[0] + half)
    axis.set_ylim(middle[1] - half, middle[1] + half)
    axis.set_aspect("equal")
