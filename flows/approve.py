"""`approve`: waits until an operator confirms that the cell is clear, and hands over a short-lived token.

A sub-flow of its own, since Prefect pauses a whole flow. The operator presses Resume on this run in the Prefect UI and
fills in the form; `ocrrl` then signs the token without which it moves no hardware.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from pydantic import Field, SecretStr

from tasks.child_process import ask
from tasks.graph import Selection, read_graph
from tasks.run_session import Session, new_session_name, run_session

CELLS = ("rehearsal",)
UNATTENDED = ("twin",)
"""Cells of sessions until decided in which nobody approves and no robot moves."""
BLIND = " They compare base and base + residual in an order that is hidden until the session has ended; those that do not begin lapse."


class NotApproved(RuntimeError):
    """No operator approved the session; nothing moved."""


class Approval(RunInput):
    """What the operator fills in."""

    cell_clear: bool = Field(
        default=False, description="I stand at the cell, nobody is in it, the stop button is in reach."
    )
    operator: str = Field(default="", description="Your name; it is written into every episode.")
    episodes: int = Field(default=0, description="How many episodes may begin.")
    minutes: float = Field(default=60.0, description="For how long; at most 480.")


@dataclass(frozen=True)
class Approved:
    """What the operator granted; the token is shown nowhere."""

    token: SecretStr
    episodes: int


@flow(name="approve", flow_run_name="approve {session} in {cell}", persist_result=False)
def approve(
    cell: str, session: str, task: str, episodes: int, wait_minutes: float = 30.0, purpose: str = ""
) -> Approved:
    """The operator's word for `session`; NotApproved when the operator declines or does not answer within `wait_minutes`.

    `purpose` is a sentence on what the episodes are for.
    """
    get_run_logger().info(
        "Waiting for an operator: press Resume on this run in the Prefect UI. %s: %d episodes of %s in session %s",
        cell,
        episodes,
        task,
        session,
    )
    text = f"**{cell}**: {episodes} episodes of **{task}**, session `{session}`.{purpose} The robot moves when you submit this."
    form = Approval.with_initial_data(description=text, episodes=episodes)
    try:
        given = pause_flow_run(wait_for_input=form, timeout=int(wait_minutes * 60), poll_interval=2)
    except FlowPauseTimeout:
        raise NotApproved(
            f"no operator approved session {session} in cell {cell} within {wait_minutes:g} min; nothing moved. Run it again."
        ) from None
    return sign(given, cell, session, task, episodes)


def sign(given: Approval, cell: str, session: str, task: str, episodes: int) -> Approved:
    """Have `ocrrl approve` write the token; what the operator declined raises NotApproved."""
    if not given.cell_clear:
        raise NotApproved(f"the operator did not say that cell {cell} is clear; nothing moved")
    if not given.operator.strip():
        raise NotApproved("operator must be the name of who approves, got none; nothing moved")
    if not 0 < given.episodes <= episodes:
        raise NotApproved(f"episodes must be from 1 to the {episodes} asked for, got {given.episodes}; nothing moved")
    command = ["ocrrl", "approve", "--cell", cell, "--session", session, "--task", task, "--cell-clear"]
    command += ["--episodes", str(given.episodes), f"--operator={given.operator.strip()}"]
    command += ["--minutes", f"{given.minutes:g}"]
    done = ask(command, Path.cwd())
    if done.returncode:
        raise NotApproved(done.stderr.strip())
    return Approved(SecretStr(done.stdout.strip()), given.episodes)


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
