"""`approve`: waits until an operator confirms that the cell is clear, and hands over a short-lived token.

A sub-flow of its own, since Prefect pauses a whole flow. The operator presses Resume on this run in the Prefect UI and
fills in the form; `ocrrl` then signs the token without which it moves no hardware.
"""

from dataclasses import dataclass
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from pydantic import Field, SecretStr

from tasks.child_process import ask


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
