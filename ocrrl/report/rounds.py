"""Success over the rounds of self-improvement: each report of all tasks goes on with the table of the round before."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np

from ocrrl.report.figures import STYLE, figure, show_rates, to_svg
from ocrrl.report.inputs import RETRAINED_CELL, Measured
from ocrrl.report.json_reader import Json
from ocrrl.report.table import Table
from ocrrl.report.values import NONE, cell_label, percent, points, rate_with_interval

BEFORE, RETRAINED = "before", "retrained"


def of_round(measured: Measured) -> Json:
    """What later reports need of this round: the multi-task VLA and those before it on each tabletop task."""
    entries = {slug: cells[RETRAINED_CELL] for slug, cells in measured.retrained.items() if RETRAINED_CELL in cells}
    return {
        "round": measured.round,
        "tabletop_tasks": {
            slug: {
                **{variant: entry[variant] for variant in (BEFORE, RETRAINED) if variant in entry},
                "difference": entry.get("differences", {}).get(BEFORE, {}).get("success_rate"),
            }
            for slug, entry in entries.items()
        },
        "average": measured.retrained_averages.get(BEFORE),
    }


def all_rounds(measured: Measured) -> list[Json]:
    """The rounds before and this one."""
    return [*measured.earlier, of_round(measured)]


def rounds_table(measured: Measured) -> Table:
    """A row for each VLA: that of the demonstrations, then that of each round; a column for each tabletop task."""
    rounds = all_rounds(measured)
    slugs = list(rounds[-1]["tabletop_tasks"])

    def cells(found: Json, variant: str) -> list[str]:
        of_tasks = [found["tabletop_tasks"].get(slug, {}).get(variant) for slug in slugs]
        return [rate_with_interval(summary) if summary else NONE for summary in of_tasks]

    averages = [found["average"] or {} for found in rounds]
    rows = [("demonstrations", *cells(rounds[0], BEFORE), percent(averages[0].get("first")), NONE)]
    rows += [
        (f"round {found['round']}", *cells(found, RETRAINED), percent(average.get("second")), points(average))
        for found, average in zip(rounds, averages, strict=True)
    ]
    note = (
        f"The multi-task VLA alone, without a residual, in {cell_label(RETRAINED_CELL)}, on held-out initial states, the same in "
        "all rounds; gain: over the VLAs that the round began with, paired. A task goes on with the new VLA only where the stage "
        "promote finds it better."
    )
    return Table(("VLA after", *slugs, "average", "gain of the round"), rows, 1, note=note)


@mpl.rc_context(STYLE)
def rounds_figure(rounds: Sequence[Json]) -> str:
    """Success of the multi-task VLA after the demonstrations and after each round (`of_round`), a line a tabletop task."""
    drawn, axes = figure(1, 1, 8.6, 3.4)
    names = ["demonstrations", *(f"round {found['round']}" for found in rounds)]
    for index, slug in enumerate(rounds[-1]["tabletop_tasks"]):
        entries = [found["tabletop_tasks"].get(slug, {}) for found in rounds]
        summaries = [entries[0].get("before"), *(entry.get("retrained") for entry in entries)]
        points = [(k, summary) for k, summary in enumerate(summaries) if summary]
        rates = np.array([[s["success_rate"], s["wilson_low"], s["wilson_high"]] for _, s in points]).reshape(-1, 3)
        around = np.abs(rates[:, 1:] - rates[:, :1]).T
        places = [k + 0.03 * index for k, _ in points]  # so that intervals do not cover each other
        axes[0, 0].errorbar(places, rates[:, 0], around, label=slug, marker="o", capsize=2, linewidth=1)
    averages = [found["average"] or {} for found in rounds]
    mean = [averages[0].get("first"), *(average.get("second") for average in averages)]
    axes[0, 0].plot(
        range(len(mean)), [np.nan if m is None else m for m in mean], color="#1f2937", linewidth=3, label="average"
    )
    axes[0, 0].set_xticks(range(len(names)), names)
    show_rates(axes[0, 0])
    axes[0, 0].legend(loc="upper left", bbox_to_anchor=(1, 1))
    return to_svg(drawn)
