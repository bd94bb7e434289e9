"""Success over the rounds of self-improvement: each report of all tasks goes on with the table of the round before."""

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
