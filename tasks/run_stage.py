"""The Prefect task of a stage: `dvc repro -s` as a child process."""

import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.concurrency.sync import concurrency
from prefect.runtime import deployment, flow_run

from tasks.artifacts import Progress, show_failure, show_results
from tasks.child_process import Outcome, ask, run_child
from tasks.failures import StageFailed, explain, is_busy, worth_another_try
from tasks.graph import Stage

LOGS = Path(".work") / "flow_logs"
LEASE = 60.0  # seconds after which the slot of a killed run comes back; the server takes no less
BUSY_WAIT = 5.0  # seconds
QUIET = 20.0  # seconds without a word after which the lock's holder is named


@dataclass(frozen=True)
class StageRun:
    """What became of a stage: `ran`, `restored` from DVC's cache, or `unchanged`."""

    stage: str
    how: str
    seconds: float


@task(
    name="stage",
    task_run_name="{stage.title}",
    cache_policy=NO_CACHE,  # DVC is the only cache
    persist_result=False,
    retry_delay_seconds=5,
    retry_condition_fn=lambda task, run, state: worth_another_try(state),
)
def run_stage(stage: Stage, workspace: Path, pull: bool = False) -> StageRun:
    """Run `stage` with its slot taken, and show its results; StageFailed holds the last lines of its log.

    The caller sees to it that what the stage needs is there. With `pull`, DVC's remote provides it.
    """
    refuse_without(stage, workspace)
    get_run_logger().info("taking a %s slot", stage.slot)  # that of a killed run comes back within 75 s
    with concurrency(stage.slot, occupy=1, lease_duration=LEASE, raise_on_lease_renewal_failure=False):
        start = time.monotonic()
        how = ["--pull", "--allow-missing"] if pull else ["-s"]
        outcome = repro(stage, workspace, ["dvc", "--wait-for-lock", "repro", *how, stage.name])
        seconds = time.monotonic() - start
    if outcome.code:
        show_failure(stage, outcome)
        raise StageFailed(explain(stage, outcome))
    run = StageRun(stage.name, how_it_ran(outcome), round(seconds, 1))
    show_results(stage, workspace)
    return run


def repro(stage: Stage, workspace: Path, command: list[str]) -> Outcome:
    """Run a DVC command for `stage`, its output to a log file and to Prefect; waits while another process has its files."""
    logger = get_run_logger()
    log = log_file(stage, workspace)
    while True:
        progress = Progress(stage)
        outcome = run_child(
            command, log, workspace, run_variables(), logger.info, shown_in(progress, workspace), stage.timeout
        )
        if not outcome.code:
            progress.finish()
        if not is_busy(outcome):
            return outcome
        logger.info("another process works on the same files; trying again in %.0f s", BUSY_WAIT)
        time.sleep(BUSY_WAIT)


def shown_in(progress: Progress, workspace: Path) -> Callable[[str], None]:
    """A listener for `run_child` that hands a progress bar on, and says once who may hold DVC's lock."""
    logger, start, told = get_run_logger(), time.monotonic(), False

    def on_progress(text: str) -> None:
        nonlocal told
        if text:
            progress.update(text)
        elif not told and time.monotonic() - start > QUIET:
            told = True
            logger.info("no output for %.0f s; another DVC command may hold %s", QUIET, workspace / ".dvc/tmp/lock")

    return on_progress


def log_file(stage: Stage, workspace: Path) -> Path:
    """Where the output of `stage` goes in this flow run; outside every tracked output."""
    run = f"{flow_run.get_name() or 'flow'}-{str(flow_run.get_id() or os.getpid())[:8]}"
    return workspace / LOGS / file_name(run) / f"{file_name(stage.name)}.log"


def file_name(text: str) -> str:
    """`text`, which anybody may have written, as one part of a path."""
    return re.sub(r"[^A-Za-z0-9_.@-]", "_", text).lstrip(".")[:120] or "_"


def run_variables() -> dict[str, str]:
    """The flow run's identity, which `ocrrl` writes into the run record."""
    found = {
        "OCRRL_FLOW_RUN": flow_run.get_id(),
        "OCRRL_FLOW_RUN_NAME": flow_run.get_name(),
        "OCRRL_DEPLOYMENT": deployment.get_name() and f"{flow_run.get_flow_name()}/{deployment.get_name()}",
    }
    return {name: str(value) for name, value in found.items() if value}


def how_it_ran(outcome: Outcome) -> str:
    """`ran`, `restored` from DVC's cache, or `unchanged`, as DVC said."""
    text = outcome.tail(10_000)
    if "Running stage" in text:
        return "ran"
    return "restored" if "is cached" in text or "Checking out" in text else "unchanged"


class HardwareMissing(RuntimeError):
    """The worker's machine lacks what the stage was told to use."""


def refuse_without(stage: Stage, workspace: Path) -> None:
    """Raise HardwareMissing where params.yaml asks `stage` for a device that this machine does not have.

    A stage of slot `gpu` with `device: cpu`, and a twin, need no hardware.
    """
    if not asks_for_cuda(stage, workspace):
        return
    slots = slots_here(workspace)
    if not slots["gpu"]:
        raise HardwareMissing(
            f"{stage.title} asks for `device: cuda` in params.yaml, and this worker's machine has no GPU "
            f"({slots.get('reasons', {}).get('gpu', 'none found')}): start a worker of pool `gpu` on a machine that has one, "
            "or set `device: cpu`"
        )


def slots_here(workspace: Path) -> dict[str, Any]:
    """What `ocrrl slots` says of this machine."""
    done = ask(["ocrrl", "slots"], workspace)
    done.check_returncode()
    return json.loads(done.stdout)


def asks_for_cuda(stage: Stage, workspace: Path) -> bool:
    """Whether params.yaml says `device: cuda` for `stage`; a tabletop task's own value comes before the shared one."""
    params = yaml.safe_load((workspace / "params.yaml").read_text())
    device = ""
    for name in sorted(stage.parameters, key=lambda name: not name.endswith(".shared")):
        section = params
        for key in name.split("."):
            section = section.get(key, {}) if isinstance(section, dict) else {}
        if isinstance(section, dict):
            device = str(section.get("device", device))
    return device.startswith("cuda")
