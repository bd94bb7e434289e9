"""What the numbers amount to, in plain sentences: the summary, and where they miss a target or the paper."""

from collections.abc import Callable
from dataclasses import dataclass

from ocrrl.report.inputs import TWINS, Json, Measured, cell_label
from ocrrl.report.paper_results import TABLE_1, TRIALS
from ocrrl.report.tables import percent

TWIN_STATEMENT = "Every number marked twin comes from a simulated stand-in for the lab, not from a robot."


@dataclass(frozen=True)
class Target:
    """Something that a tabletop task's numbers should reach; `reached` is None when it was not measured."""

    text: str
    measured: str
    reached: bool | None


def summary_sentences(measured: Measured) -> list[str]:
    """Two to five sentences for the top of the page."""
    sentences = []
    for cell, entry in measured.main_cells.items():
        base, residual = entry["base"], entry["residual"]
        where = {"sim": "In the simulator where the residual was trained"}.get(cell, f"In the {cell_label(cell)}")
        if cell != "sim":
            where += ", which it had never seen in training"
        sentences.append(
            f"{where}, the base VLA alone solved {_of(base)} and base + residual {_of(residual)} "
            "from the same initial states."
        )
    for cell, entry in measured.retrained_cells.items():
        sentences.append(
            f"The VLA retrained on corrected rollouts, without a residual, solved {_of(entry['retrained'])} in the "
            f"{cell_label(cell)}"
            + (f"; before retraining it was {_of(entry['before'])}." if "before" in entry else ".")
        )
    if not sentences:
        sentences.append("Nothing has been evaluated yet.")
    if any(cell in TWINS for cell in (*measured.main_cells, *measured.retrained_cells)):
        sentences.append(TWIN_STATEMENT)
    return sentences


def targets(measured: Measured) -> list[Target]:
    """The project's targets for cube_lift and how they stand; none are set for other tabletop tasks yet."""
    if measured.tabletop_task != "cube_lift":
        return []
    sim, twin = measured.main_cells.get("sim"), measured.main_cells.get("twin")
    differences = measured.retrained_cells.get("twin", {}).get("differences", {})
    return [
        _rate("sim: base succeeds in 15 to 60%", sim, "base", lambda rate: 0.15 <= rate <= 0.60),
        _rate("sim: base + residual in at least 95%", sim, "residual", lambda rate: rate >= 0.95),
        _every_seed(measured),
        _rate("twin, zero-shot: base + residual in at least 85%", twin, "residual", lambda rate: rate >= 0.85),
        _gain("twin: at least 30 points above its base", twin),
        _better("retrained VLA better than before (95% interval above 0)", differences.get("before")),
        _better("retrained VLA better than demonstrations only", differences.get("demonstrations_only")),
        _not_below("retrained VLA not below the base-rollouts arm", differences.get("base_rollouts")),
    ]


def shortfalls(measured: Measured) -> list[str]:
    """Sentences on what fell short of a target, of the paper, or could not be measured."""
    found = [
        f"Target missed: {target.text}; measured {target.measured}."
        for target in targets(measured)
        if target.reached is False
    ]
    found += [f"Not measured: {target.text}." for target in targets(measured) if target.reached is None]
    paper = TABLE_1.get(measured.tabletop_task)
    sim = measured.main_cells.get("sim")
    if paper and sim and sim["residual"]["success_rate"] < paper.sim_residual[0] / TRIALS:
        found.append(
            f"Below the paper in simulation: base + residual {percent(sim['residual']['success_rate'])}, "
            f"the paper {percent(paper.sim_residual[0] / TRIALS)} (another simulator, another base VLA)."
        )
    for cell, entry in measured.main_cells.items():
        harmed = entry["paired"]["only_base"]
        if harmed:
            found.append(
                f"The residual spoiled {harmed} of {entry['base']['episodes']} initial states in {cell_label(cell)}."
            )
    for policy, summary in (measured.rollouts or {}).items():
        if isinstance(summary, dict) and summary["recorded"] < summary["wanted"]:
            found.append(
                f"Only {summary['recorded']} of the {summary['wanted']} wanted {policy} rollouts succeeded within "
                f"{summary['attempts']['episodes']} attempts; both retraining arms were given no more than that."
            )
    robots = [cell for cell in measured.main_cells if cell not in (*TWINS, "sim")]
    if not robots:
        found.append("Nothing here was measured on a robot; the paper's main claim is about one.")
    return found


def _of(summary: Json) -> str:
    return f"{summary['successes']} of {summary['episodes']} ({percent(summary['success_rate'])})"


def _rate(text: str, cell: Json | None, arm: str, reached: Callable[[float], bool]) -> Target:
    if not cell:
        return Target(text, "nothing", None)
    return Target(text, percent(cell[arm]["success_rate"]), reached(cell[arm]["success_rate"]))


def _every_seed(measured: Measured) -> Target:
    rates = [
        evaluation["sim"]["residual"]["success_rate"] for evaluation in measured.evaluations if "sim" in evaluation
    ]
    text = "sim: three residual seeds all at least 90%"
    if len(rates) < 3:
        return Target(text, f"{len(rates)} seed(s) here; the others are run by the benchmark", None)
    return Target(text, ", ".join(percent(rate) for rate in rates), all(rate >= 0.90 for rate in rates))


def _gain(text: str, cell: Json | None) -> Target:
    if not cell:
        return Target(text, "nothing", None)
    gain = cell["residual"]["success_rate"] - cell["base"]["success_rate"]
    return Target(text, f"{100 * gain:+.0f} points", gain >= 0.30)


def _better(text: str, difference: Json | None) -> Target:
    if not difference:
        return Target(text, "nothing", None)
    return Target(text, _interval(difference["success_rate"]), difference["success_rate"]["low"] > 0)


def _not_below(text: str, difference: Json | None) -> Target:
    if not difference:
        return Target(text, "nothing", None)
    return Target(text, _interval(difference["success_rate"]), difference["success_rate"]["difference"] >= 0)


def _interval(rate: Json) -> str:
    return f"{100 * rate['difference']:+.0f} points [{100 * rate['low']:+.0f}, {100 * rate['high']:+.0f}]"
