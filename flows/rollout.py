"""`rollout`: collects successful episodes of the real VLA with the residual, and without it as a control.

prefect deployment run rollout/full
prefect deployment run rollout/full -p cell=rehearsal -p episodes=5     # a session; an operator approves it
"""

from prefect import flow

from flows.sessions import approved_sessions
from tasks.graph import Selection
from tasks.run_graph import run_stages

STAGES = ("rollout", "rollout_base")


@flow(name="rollout", persist_result=False)
def rollout(
    tasks: list[str] | None = None,
    rounds: list[str] | None = None,
    cell: str = "twin",
    episodes: int = 20,
    wait_minutes: float = 30.0,
) -> None:
    """Collect rollouts in the twin by the stages of dvc.yaml, or in another cell in a session that an operator approves.

    Args:
        tasks: tabletop tasks, such as `cube_lift`; all when left out.
        rounds: rounds of self-improvement, such as `round0`; all when left out. Not for a session.
        cell: `twin`, or `rehearsal`, a twin handled as hardware. On `fr3` a session is started at its terminal.
        episodes: of a session and tabletop task; the stages take theirs from params.yaml.
        wait_minutes: for the operator's approval.
    """
    if cell == "twin":
        run_stages(Selection((), STAGES, tuple(tasks or ()), tuple(rounds or ())))
    else:
        approved_sessions("rollout", cell, tasks, episodes, wait_minutes)


if __name__ == "__main__":
    rollout()
