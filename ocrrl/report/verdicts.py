"""What one tabletop task's numbers amount to, in plain sentences: the summary, and where they miss a target or the paper."""

from ocrrl.interface.cells import TWINS
from ocrrl.report.inputs import EvaluatedTask, Measured, cell_label
from ocrrl.report.json_reader import Json
from ocrrl.report.paper_results import TABLE_1, TRIALS
from ocrrl.report.targets import (
    Target,
    above_zero,
    difference_target,
    gain_target,
    missed,
    not_below_zero,
    rate_target,
)
from ocrrl.report.values import percent

TWIN_STATEMENT = "Every number marked twin comes from a simulated stand-in for the lab, not from a robot."
NO_ROBOT = "Nothing here was measured on a robot; the paper's main claim is about one."
LEAST_IN_SIM = {"cube_lift": 0.95, "close_drawer": 0.86}
LEAST_IN_SIM_ELSEWHERE = 0.73
"""Success that base + residual should reach in simulation."""


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
    """The project's targets for the tabletop task and how they stand; Cube Lift, the first, has more than the others."""
    return _targets_of_cube_lift(measured) if measured.tabletop_task == "cube_lift" else _targets(measured)


def _targets(measured: Measured) -> list[Target]:
    sim, twin = measured.main_cells.get("sim"), measured.main_cells.get("twin")
    least = least_in_sim(measured.tabletop_task)
    not_below = "base + residual not below its base (95% interval reaches 0)"
    return [
        _rate("sim: base succeeds in 10 to 70%", sim, "base", 0.10, 0.70),
        _rate(f"sim: base + residual in at least {percent(least)}", sim, "residual", least),
        difference_target(f"sim: {not_below}", (sim or {}).get("difference"), not_below_zero),
        difference_target(f"twin: {not_below}", (twin or {}).get("difference"), not_below_zero),
    ]


def _targets_of_cube_lift(measured: Measured) -> list[Target]:
    sim, twin = measured.main_cells.get("sim"), measured.main_cells.get("twin")
    differences = measured.retrained_cells.get("twin", {}).get("differences", {})
    before, demonstrations, base_rollouts = (
        differences.get(arm, {}).get("success_rate") for arm in ("before", "demonstrations_only", "base_rollouts")
    )
    return [
        _rate("sim: base succeeds in 15 to 60%", sim, "base", 0.15, 0.60),
        _rate("sim: base + residual in at least 95%", sim, "residual", least_in_sim("cube_lift")),
        _every_seed(measured),
        _rate("twin, zero-shot: base + residual in at least 85%", twin, "residual", 0.85),
        gain_target("twin: at least 30 points above its base", _of_arm(twin, "base"), _of_arm(twin, "residual"), 0.30),
        difference_target("retrained VLA better than before (95% interval above 0)", before, above_zero),
        difference_target("retrained VLA better than demonstrations only", demonstrations, above_zero),
        difference_target(
            "retrained VLA not below the base-rollouts arm", base_rollouts, lambda found: found["difference"] >= 0
        ),
    ]


def least_in_sim(tabletop_task: str) -> float:
    """The success rate that base + residual should reach on `tabletop_task` in simulation."""
    return LEAST_IN_SIM.get(tabletop_task, LEAST_IN_SIM_ELSEWHERE)


def below_the_paper(measured: EvaluatedTask) -> list[str]:
    """A sentence where base + residual stays below the paper's in simulation."""
    paper, rate = TABLE_1.get(measured.tabletop_task), measured.rate("sim", "residual")
    if not paper or rate is None or rate >= paper.sim_residual[0] / TRIALS:
        return []
    return [
        f"Below the paper in simulation: base + residual {percent(rate)}, "
        f"the paper {percent(paper.sim_residual[0] / TRIALS)} (another simulator, another base VLA)."
    ]


def shortfalls(measured: Measured) -> list[str]:
    """Sentences on what fell short of a target, of the paper, or could not be measured."""
    found = missed(targets(measured)) + below_the_paper(measured)
    for cell, entry in measured.main_cells.items():
        harmed = entry["paired"]["only_base"]
        if harmed:
            found.append(
                f"The residual spoiled {harmed} of {entry['base']['episodes']} initial states in {cell_label(cell)}."
            )
    for policy, summary in measured.rollouts.items():
        if summary["recorded"] < summary["wanted"]:
            found.append(
                f"Only {summary['recorded']} of the {summary['wanted']} wanted {policy} rollouts succeeded within "
                f"{summary['attempts']['episodes']} attempts; both retraining arms were given no more than that."
            )
    robots = [cell for cell in measured.main_cells if cell not in (*TWINS, "sim")]
    if not robots:
        found.append(NO_ROBOT)
    return found


def _of(summary: Json) -> str:
    return f"{summary['successes']} of {summary['episodes']} ({percent(summary['success_rate'])})"


def _of_arm(cell: Json | None, arm: str) -> float | None:
    return cell[arm]["success_rate"] if cell else None


def _rate(text: str, cell: Json | None, arm: str, least: float, most: float = 1.0) -> Target:
    return rate_target(text, _of_arm(cell, arm), lambda rate: least <= rate <= most)


def _every_seed(measured: EvaluatedTask) -> Target:
    rates = measured.rates("sim", "residual")
    text = "sim: three residual seeds all at least 90%"
    if len(rates) < 3:
        return Target(text, f"{len(rates)} seed(s) here; the others are run by the benchmark", None)
    return Target(text, ", ".join(percent(rate) for rate in rates), all(rate >= 0.90 for rate in rates))
