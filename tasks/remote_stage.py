"""Runs a stage on another machine's worker; the result returns through DVC's remote and run-cache."""

import json
import re
import subprocess
import time
from pathlib import Path
from typing import cast

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment

from tasks.artifacts import show_results
from tasks.child_process import ask
from tasks.failures import StageFailed, explain
from tasks.graph import Stage
from tasks.run_stage import StageRun, how_it_ran, repro

RUN_RECORD = Path("data") / "runs.jsonl"
RECORD_KEY = "run-record"
POLL = 2.0  # seconds
COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def push_inputs(workspace: Path) -> str:
    """Push what this clone has, so that workers find it; the commit that they shall run.

    Raises CloneDiffers where the code or the parameters are not committed, StageFailed where there is no remote.
    """
    if changed := modified(workspace):
        raise CloneDiffers(f"workers run commits, got changes in {', '.join(changed)}: commit and push them first")
    revision = head(workspace)
    _dvc(workspace, "push", "--run-cache")
    return revision


@task(name="stage on a worker", task_run_name="{stage.title}", cache_policy=NO_CACHE, persist_result=False)
def run_on_worker(stage: Stage, workspace: Path, revision: str) -> StageRun:
    """Have a worker of pool `stage.slot` run `stage`, wait, and restore its result here."""
    start = time.monotonic()
    parameters = {"stage": stage.name, "revision": revision}
    warn_without_worker(stage.slot)
    deployment = f"stage/{stage.slot}"
    run = cast(FlowRun, run_deployment(deployment, parameters=parameters, timeout=None, poll_interval=POLL))
    if run.state is None or not run.state.is_completed():
        message = run.state.message if run.state else "no state"
        raise StageFailed(f"{stage.title} failed on its worker (flow run {run.name}): {message}")
    outcome = repro(stage, workspace, ["dvc", "--wait-for-lock", "repro", "--pull", stage.name])
    if outcome.code:
        raise StageFailed(explain(stage, outcome))
    how = how_it_ran(outcome)
    if how == "ran":
        get_run_logger().warning("the remote's run-cache did not have what the worker pushed; it was run here")
    keep_run_record(run.id, workspace)
    show_results(stage, workspace)
    return StageRun(stage.name, how, round(time.monotonic() - start, 1))


def warn_without_worker(pool: str) -> None:
    """Say what to start where no worker of the pool is there; the stage waits for one."""
    with get_client(sync_client=True) as client:
        there = [worker for worker in client.read_workers_for_work_pool(pool) if worker.status == "ONLINE"]
    if not there:
        get_run_logger().warning(
            "no worker of pool %s is online; waiting for `make worker SLOT=%s` on a machine", pool, pool
        )


def push_result(stage: Stage, workspace: Path) -> None:
    """On the worker: the outputs of `stage` and the run-cache entry that names them, to the default remote."""
    _dvc(workspace, "push", "--run-cache", stage.name)


def offer_run_record(stage: Stage, workspace: Path) -> None:
    """On the worker: the stage's last run record as an artifact, for the coordinator's log."""
    path = workspace / RUN_RECORD
    lines = path.read_text().splitlines() if path.is_file() else []
    mine = [line for line in lines if json.loads(line).get("stage") == stage.name]
    if mine:
        create_markdown_artifact(mine[-1], key=RECORD_KEY, description=f"run record of {stage.title}")


def keep_run_record(worker_run: object, workspace: Path) -> None:
    """Add the worker's record to the coordinator's log, so that lineage knows where the stage ran."""
    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[worker_run]))  # type: ignore[list-item]
    with get_client(sync_client=True) as client:
        found = [a.data for a in client.read_artifacts(artifact_filter=of_run) if a.key == RECORD_KEY]
    with (workspace / RUN_RECORD).open("a") as log:
        for line in found:
            log.write(f"{line}\n")


def _dvc(workspace: Path, *arguments: str) -> None:
    command = ["dvc", "--wait-for-lock", *arguments]
    done = ask(command, workspace)
    if done.returncode:
        raise StageFailed(
            f"`{' '.join(command)}` failed: {done.stderr.strip()[-1500:]}\n"
            "Workers and coordinator share a default DVC remote: `dvc remote add --default NAME URL` (docs/scale_out.md)"
        )


class CloneDiffers(RuntimeError):
    """The clone cannot be brought to the commit asked for without losing something."""


def check_out(workspace: Path, revision: str) -> None:
    """Bring the clone to `revision`, fetching it where needed.

    dvc.lock is DVC's own and is overwritten (the run-cache has what it recorded). Any other change of a tracked file is
    left alone, and refused with its name.
    """
    if not COMMIT.fullmatch(revision):
        raise CloneDiffers(f"revision must be a git commit, 40 hexadecimal digits, got {revision[:80]!r}")
    if changed := modified(workspace):
        raise CloneDiffers(
            f"{workspace}: a worker's clone must be as committed, got changes in {', '.join(changed)}; "
            "commit and push them, or `git stash`"
        )
    if head(workspace) == revision:
        return
    if _git(workspace, "cat-file", "-e", f"{revision}^{{commit}}").returncode:
        _git(workspace, "fetch", "--quiet", "--all")
    done = _git(workspace, "checkout", "--quiet", "--force", "--detach", revision)
    if done.returncode:
        raise CloneDiffers(
            f"{workspace}: commit {revision} must be there or in its git remote, got: {done.stderr.strip()}; "
            "push it from where the flow was started"
        )


def head(workspace: Path) -> str:
    """The commit that is checked out; CloneDiffers where there is no git."""
    return _of_clone(workspace, "rev-parse", "HEAD").strip()


def modified(workspace: Path) -> list[str]:
    """Tracked files that differ from the commit, and untracked ones that git does not ignore; not dvc.lock and records."""
    files = [line[3:] for line in _of_clone(workspace, "status", "--porcelain", "--untracked-files=all").splitlines()]
    return [name for name in files if name not in ("dvc.lock", "data/runs.jsonl") and "/.gitignore" not in name]


def _of_clone(workspace: Path, *arguments: str) -> str:
    """What git prints for `arguments`; CloneDiffers where it refuses."""
    done = _git(workspace, *arguments)
    if done.returncode:
        raise CloneDiffers(f"{workspace} must be a git clone: workers run commits, got: {done.stderr.strip()}")
    return done.stdout


def _git(workspace: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=workspace, capture_output=True, text=True, check=False)
