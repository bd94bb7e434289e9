"""`evaluate`: base and base + residual, the retrained VLAs and those before, and the reports.

prefect deployment run evaluate/full
prefect deployment run evaluate/full -p cell=rehearsal -p episodes=6     # a session; an operator approves it
prefect deployment run evaluate/full -p cell=rehearsal -p until=decided  # blind, until a sequential test is decided
"""

from typing import Literal

from prefect import flow

from flows.sessions import approved_sessions
from tasks.graph import Selection
from tasks.run_graph import run_stages

EPISODES, MOST_EPISODES = 20, 200
"""Of a session, and the most of one until decided: both variants of 100 pairs."""
STAGES = ("evaluate", "evaluate_retrained", "report", "evaluate_multitask", "report_multitask")


@flow(name="evaluate", persist_result=False)
def evaluate(
    tasks: list[str] | None = None,
    rounds: list[str] | None = None,
    cell: str = "twin",
    episodes: int | None = None,
    wait_minutes: float = 30.0,
    until: Literal["decided"] | None = None,
    session: str | None = None,
) -> None:
    """Evaluate in the twin by the stages of dvc.yaml, or in a session, which in other cells an operator approves.

    Args:
        tasks: tabletop tasks, such as `cube_lift`; all when left out.
        rounds: rounds of self-improvement, such as `round0`; all when left out. Not for a session.
        cell: `twin`, or `rehearsal`, a twin handled as hardware. On `fr3` a session is started at its terminal.
        episodes: of a session and tabletop task, both variants together, so an even number, 20 when left out; with `until` the most,
            200 when left out. The stages take theirs from params.yaml.
        wait_minutes: for the operator's approval.
        until: `decided` for a blind session that ends when a sequential test is decided, also in the twin; no approval there.
        session: the name of a session that is gone on with, of one tabletop task.
    """
    if until is not None:
        approved_sessions("evaluate", cell, tasks, episodes or MOST_EPISODES, wait_minutes, until, session)
    elif cell == "twin":
        run_stages(Selection((), STAGES, tuple(tasks or ()), tuple(rounds or ())))
    else:
        approved_sessions("evaluate", cell, tasks, episodes or EPISODES, wait_minutes, session=session)


if __name__ == "__main__":
    evaluate()
