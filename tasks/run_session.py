"""The Prefect task of a session that needs an operator's approval."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.concurrency.sync import concurrency
from pydantic import SecretStr

from tasks.child_process import ask, run_child
from tasks.failures import StageFailed
from tasks.run_stage import LEASE, LOGS, run_variables


@dataclass(frozen=True)
class Session:
    """Episodes of one tabletop task in one cell; `command` is `rollout` or `evaluate`.

    With `until` there are `episodes` at most, of a new session; one that is gone on with keeps to its plan.
    """

    command: str
    cell: str
    tabletop_task: str
    episodes: int
    name: str
    until: str | None = None

    @property
    def folder(self) -> Path:
        return Path("data") / "sessions" / self.cell / self.tabletop_task / self.name

    @property
    def title(self) -> str:
        return f"{self.command} · {self.tabletop_task} · {self.cell} · {self.name}"


def new_session_name(command: str) -> str:
    """A name that bears the time at which the session was asked for."""
    return f"{time.strftime('%Y%m%dt%H%M%Sz', time.gmtime())}-{command}"


@task(name="session", task_run_name="{session.title}", cache_policy=NO_CACHE, persist_result=False)
def run_session(session: Session, approval: SecretStr | None, workspace: Path) -> Path:
    """Run the session under the operator's token, if one is needed, and have DVC track its folder, also where it ended early."""
    log = workspace / LOGS / "sessions" / f"{session.name}.log"
    command = session_command(session, begun=(workspace / session.folder).is_dir())
    with (
        concurrency("robot", occupy=1, lease_duration=LEASE, raise_on_lease_renewal_failure=True),
        nullcontext() if approval is None else handed_over(approval, workspace) as file,
    ):
        variables = run_variables() | ({} if file is None else {"OCRRL_APPROVAL_FILE": str(file)})
        outcome = run_child(command, log, workspace, variables, get_run_logger().info)
    if (workspace / session.folder).is_dir():
        track(session.folder, workspace)
    if outcome.code:
        raise StageFailed(f"{session.title} ended with exit code {outcome.code}:\n{outcome.tail()}\n\nWhole log: {log}")
    return session.folder


def session_command(session: Session, begun: bool) -> list[str]:
    """The command line of `session`; one until decided that has `begun` keeps to the most episodes of its plan."""
    command = ["ocrrl", session.command, session.tabletop_task, "--cell", session.cell, "--session", session.name]
    if session.until is not None:
        command += ["--until", session.until]
    if session.until is None or not begun:
        command += ["--episodes", str(session.episodes if session.until is None else session.episodes // 2 * 2)]
    return command


@contextmanager
def handed_over(approval: SecretStr, workspace: Path) -> Iterator[Path]:
    """A file with the token that only its owner can read, gone afterwards: a process's environment can be read in /proc."""
    folder = workspace / ".work" / "tokens"
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=folder)  # 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(approval.get_secret_value() + "\n")
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def track(folder: Path, workspace: Path) -> None:
    """`dvc add` the session: its episodes are in the cache from now on."""
    done = ask(["dvc", "--wait-for-lock", "add", str(folder)], workspace)
    if done.returncode:
        raise StageFailed(f"{folder} was recorded, and `dvc add` failed; run it by hand:\n{done.stderr.strip()}")
