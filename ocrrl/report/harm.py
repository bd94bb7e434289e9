"""The initial states that the base solves and base + residual loses, as text and table."""

from ocrrl.report.inputs import Measured
from ocrrl.report.table import Table
from ocrrl.report.tables import by_task
from ocrrl.report.values import NONE, cell_label, lost_of_solved, seconds

SHOWN_SEEDS = 8


def harm_table(measured: Measured) -> Table:
    """Do no harm: how many of the initial states that the base solved base + residual did not solve; and which."""
    rows = []
    for task in measured.tasks:
        for cell, details in task.main_episodes.items():
            solved = task.main.get(cell, {}).get("base", {}).get("successes", 0)
            lost = [str(seed) for seed in details["do_no_harm"]]
            more = f" and {len(lost) - SHOWN_SEEDS} more" if lost[SHOWN_SEEDS:] else ""
            shown = ", ".join(lost[:SHOWN_SEEDS]) + more
            rows.append((task.tabletop_task, cell_label(cell), shown or NONE, lost_of_solved(len(lost), solved)))
    header = ("where", "lost initial states (seeds)", "lost, of those that the base solved")
    note = (
        "Initial states that the base solved and base + residual, of the first residual seed, did not; their share with Jeffreys' 95% "
        "interval. Contacts amplify any difference: how many a placebo would lose is told by python -m benchmarks.harm."
    )
    return by_task(measured, header, rows, 3, "Do no harm", note)


def lost_states_table(measured: Measured) -> Table:
    """Each initial state that the base solved and base + residual did not, and how long both ran."""
    rows = []
    for task in measured.tasks:
        for cell, details in task.main_episodes.items():
            for episode in details.get("episodes", []):
                if episode["seed"] in details["do_no_harm"]:
                    ran = f"{seconds(episode['residual_steps'])}, then stopped"
                    solved = seconds(episode["base_steps"])
                    rows.append((task.tabletop_task, cell_label(cell), str(episode["seed"]), solved, ran))
    header = ("where", "initial state (seed)", "base solved it in", "base + residual ran")
    return by_task(measured, header, rows, 2, "The initial states that were lost")


def statements(measured: Measured) -> list[str]:
    """What the calibration of each residual's gate says of its harm; none where no gate was calibrated."""
    return [
        f"{task.tabletop_task}, calibrated on validation states: {task.harm_statement}"
        for task in measured.tasks
        if task.harm_statement
    ]
