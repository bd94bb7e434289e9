"""Sessions in a cell, for the flows `rollout` and `evaluate`: each is approved by an operator, unless no robot can move."""

from dataclasses import replace
from pathlib import Path

from flows.approve import approve
from tasks.graph import Selection, read_graph
from tasks.run_session import Session, new_session_name, run_session

CELLS = ("rehearsal",)
UNATTENDED = ("twin",)
"""Cells of sessions until decided in which nobody approves and no robot moves."""
BLIND = " They compare base and base + residual in an order that is hidden until the session has ended; those that do not begin lapse."


def approved_sessions(
    command: str,
    cell: str,
    tasks: list[str] | None,
    episodes: int,
    wait_minutes: float,
    until: str | None = None,
    session: str | None = None,
) -> None:
    """A session of `command` (`rollout` or `evaluate`) in `cell` for each tabletop task, each approved by an operator.

    With `until` it ends by itself, after `episodes` at most. `session` names one to go on with; ValueError for several tasks.
    """
    unattended = until is not None and cell in UNATTENDED
    if cell not in CELLS and not unattended:
        ending = f"--episodes {episodes}" if until is None else f"--until {until}"
        raise ValueError(
            f"a flow runs sessions in {', '.join(CELLS)}, got {cell!r}: on hardware the operator stops the arm from a terminal, "
            f"so start it there: ocrrl {command} TASK --cell {cell} --cell-file cells/mine.yaml {ending}"
        )
    chosen = read_graph(Path.cwd()).select(Selection(tabletop_tasks=tuple(tasks or ())))
    tabletop_tasks = list(dict.fromkeys(stage.tabletop_task for stage in chosen if stage.tabletop_task))
    if session is not None and len(tabletop_tasks) != 1:
        raise ValueError(
            f"session {session} must come with one tabletop task in tasks, got {', '.join(tabletop_tasks)}"
        )
    for tabletop_task in tabletop_tasks:
        planned = Session(command, cell, tabletop_task, episodes, session or new_session_name(command), until)
        token = None
        if not unattended:
            purpose = "" if until is None else BLIND
            approved = approve(cell, planned.name, tabletop_task, episodes, wait_minutes, purpose)
            planned, token = replace(planned, episodes=approved.episodes), approved.token
        run_session(planned, token, Path.cwd())
