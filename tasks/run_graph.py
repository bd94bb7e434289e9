"""A selection of stages, each run when what it needs is there: what every flow is made of."""

import subprocess
from pathlib import Path
from typing import Any

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, wait

from tasks.child_process import stop_children
from tasks.failures import StageFailed
from tasks.flow_summary import show_summary
from tasks.follow_worker import follow_worker
from tasks.graph import Selection, Stage, read_graph
from tasks.remote_stage import push_inputs, run_on_worker
from tasks.run_stage import StageRun, run_stage

CODE = ("ocrrl", "tasks", "flows", "dvc.yaml", "params.yaml", "graph.yaml")


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
        return [f"git does not tell what is committed, and the runs are recorded without a revision: {said}"]
    changed = [line[3:] for line in done.stdout.splitlines()]
    if not changed:
        return []
    listed = ", ".join(changed[:8]) + (f" and {len(changed) - 8} more" if len(changed) > 8 else "")
    return [f"not committed: {listed}. What runs is what lies here; commit it, so that lineage can name one revision."]
