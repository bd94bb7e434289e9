"""Runs a selection of stages, each when its inputs are ready, and shows a summary; every flow uses it."""

import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, wait
from prefect.runtime import deployment, flow_run

from tasks.artifacts import Results, as_key, send, without_failing
from tasks.child_process import stop_children
from tasks.failures import StageFailed
from tasks.graph import Selection, Stage, read_graph
from tasks.markdown import duration, inline_code, paragraphs, table
from tasks.remote_stage import push_inputs, run_on_worker
from tasks.run_stage import StageRun, log_file, run_stage

CODE = ("ocrrl", "code.yaml", "tasks", "flows", "dvc.yaml", "params.yaml", "graph.yaml")
POLL = 1.0  # seconds between two looks for the worker
_following = threading.Event()
HOW = ("failed", "not run", "ran", "restored", "unchanged")


def run_stages(wanted: Selection, on_workers: bool = False) -> list[StageRun]:
    """Run what is out of date among the stages asked for, in the order of the dvc.yaml in the working directory.

    With `on_workers`, each stage runs on a worker of its slot's pool; else here. A stage that fails holds back those that
    need it; the others are run to their end, and StageFailed is raised then.
    """
    follow_worker()
    workspace, logger = Path.cwd(), get_run_logger()
    graph = read_graph(workspace)
    chosen = graph.select(wanted)
    for note in (*graph.notes, *uncommitted(workspace)):
        logger.warning(note)
    refuse_stale_inputs(chosen, graph.stages)
    due = out_of_date(chosen)
    logger.info("%d stages, %d to run: %s", len(chosen), len(due), ", ".join(stage.name for stage in due) or "none")
    revision = push_inputs(workspace) if on_workers and due else None
    return finish(chosen, submit(due, workspace, revision))


def out_of_date(stages: tuple[Stage, ...]) -> list[Stage]:
    """Those that changed, or that need one that will run."""
    due: dict[str, Stage] = {}
    for stage in stages:
        if stage.changed or any(name in due for name in stage.upstream):
            due[stage.name] = stage
    return list(due.values())


def refuse_stale_inputs(chosen: tuple[Stage, ...], every: tuple[Stage, ...]) -> None:
    """Raise ValueError where a chosen stage would be run on the output of another that is out of date and not chosen."""
    names = {stage.name for stage in chosen}
    stale = {stage.name: stage for stage in out_of_date(every) if stage.name not in names}
    for stage in chosen:
        for name in stage.upstream:
            if name in stale:
                why = (stale[name].changed or ("it needs one that is",))[0]
                raise ValueError(
                    f"{stage.name} needs {name}, which is out of date ({why}) and was not asked for; "
                    f"run it first: `prefect deployment run self-improve/full -p targets='[\"{name}\"]'`"
                )


def submit(due: list[Stage], workspace: Path, revision: str | None) -> dict[str, PrefectFuture[StageRun]]:
    """A task run for every stage, each waiting for those it needs; on a worker's clone where a revision is given."""
    futures: dict[str, PrefectFuture[StageRun]] = {}
    for stage in due:
        needed: list[PrefectFuture[Any]] = [futures[name] for name in stage.upstream if name in futures]
        if revision is None:
            one = run_stage.with_options(retries=stage.retries)
            futures[stage.name] = one.submit(stage, workspace, wait_for=needed)  # type: ignore[call-overload]
        else:
            futures[stage.name] = run_on_worker.submit(stage, workspace, revision, wait_for=needed)  # type: ignore[call-overload]
    return futures


def finish(chosen: tuple[Stage, ...], futures: dict[str, PrefectFuture[StageRun]]) -> list[StageRun]:
    """Wait for all; when this flow run is cancelled or killed meanwhile, its children end with it."""
    try:
        wait(list(futures.values()))
    except BaseException:
        stop_children()
        raise
    show_summary(chosen, futures, Path.cwd())
    states: dict[str, State[StageRun]] = {name: future.state for name, future in futures.items()}
    failed = [name for name, state in states.items() if state.is_failed() or state.is_crashed()]
    held_back = [name for name, state in states.items() if not state.is_completed() and name not in failed]
    if failed or held_back:
        first = states[failed[0]].message if failed else ""
        raise StageFailed(
            f"failed: {', '.join(failed) or 'none'}; not run, since they need those: {', '.join(held_back) or 'none'}; "
            f"finished: {', '.join(name for name, state in states.items() if state.is_completed()) or 'none'}.\n{first}"
        )
    return [future.result() for future in futures.values()]


def uncommitted(workspace: Path) -> list[str]:
    """A warning where code or parameters differ from the commit: the run record will name the files."""
    try:
        done = subprocess.run(
            ["git", "status", "--porcelain", "--", *CODE], cwd=workspace, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ["git is not installed: the runs are recorded without a revision."]
    if done.returncode:
        said = " ".join(done.stderr.split())  # git's own remedy is in it
        return [f"git does not say what is committed, so the runs are recorded without a revision: {said}"]
    changed = [line[3:] for line in done.stdout.splitlines()]
    if not changed:
        return []
    listed = ", ".join(changed[:8]) + (f" and {len(changed) - 8} more" if len(changed) > 8 else "")
    return [
        f"not committed: {listed}. The files in this folder are what runs; commit them, so that lineage can name one revision."
    ]


def follow_worker() -> None:
    """Where a worker started this process, end it with SIGTERM once that worker is gone; else do nothing."""
    if "PREFECT__FLOW_RUN_ID" not in os.environ or _following.is_set():
        return
    _following.set()
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True, name="follow-worker").start()


def _watch(worker: int) -> None:
    while os.getppid() == worker:
        time.sleep(POLL)
    os.kill(os.getpid(), signal.SIGTERM)  # Prefect marks the run as crashed; the children's pipes close


@dataclass(frozen=True)
class Ending:
    """How one stage ended, one of `HOW`; the log is that of this flow run, where there is one."""

    title: str
    how: str
    seconds: float | None = None
    log: Path | None = None


def show_summary(chosen: Sequence[Stage], futures: dict[str, PrefectFuture[Any]], workspace: Path) -> None:
    """An artifact with a row for each stage asked for; never raises."""
    with without_failing("the flow run's summary"):
        page = summary_page([ending(stage, futures.get(stage.name), workspace) for stage in chosen])
        send(page, as_key(flow_run.get_flow_name() or "flow", deployment.get_name() or "", "summary"))


def summary_page(endings: Sequence[Ending]) -> Results:
    """The table of `endings`, and what it amounts to."""
    counts = Counter(ending.how for ending in endings)
    if set(counts) <= {"unchanged"}:
        headline = f"nothing to do: all {len(endings)} stages are up to date"
    else:
        headline = f"{len(endings)} stages: " + ", ".join(f"{counts[how]} {how}" for how in HOW if counts[how])
    logs = [row.log for row in endings if row.log]
    rows = [
        (
            row.title,
            "FAILED" if row.how == "failed" else row.how,
            row.log and inline_code(row.log.name),
            duration(row.seconds),
        )
        for row in endings
    ]
    return Results(
        headline,
        paragraphs(
            f"## {headline.capitalize()}",
            table(("stage", "how it ended", "log", "time"), rows, 3, most_rows=1000),
            f"Logs are in {inline_code(logs[0].parent)}." if logs else None,
            "*ran*: its command ran · *restored*: DVC's cache had the result · *unchanged*: nothing it depends on has "
            "changed · *not run*: it needs a stage that failed.",
        ),
    )


def ending(stage: Stage, future: PrefectFuture[Any] | None, workspace: Path) -> Ending:
    """How `stage` ended; without a future it had nothing to do."""
    if future is None:
        return Ending(stage.title, "unchanged")
    log = log_file(stage, workspace)
    shown = log if log.is_file() else None
    if future.state.is_completed():
        run = future.result()
        return Ending(stage.title, run.how, run.seconds, shown)
    if future.state.is_failed() or future.state.is_crashed():
        return Ending(stage.title, "failed", run_time(future), shown)
    return Ending(stage.title, "not run")


def run_time(future: PrefectFuture[Any]) -> float | None:
    """Seconds from a task run's start to its last state, waits for a slot included; None where the server does not know."""
    try:
        with get_client(sync_client=True) as client:
            start = client.read_task_run(future.task_run_id).start_time
        return (future.state.timestamp - start).total_seconds() if start else None
    except Exception:  # whatever it is, the summary is worth more without a time than not at all
        return None
