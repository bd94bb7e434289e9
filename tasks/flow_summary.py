"""Summary of a flow run: what happened to each stage."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.futures import PrefectFuture
from prefect.runtime import deployment, flow_run

from tasks.artifacts import Results, as_key, send, without_failing
from tasks.graph import Stage
from tasks.markdown import duration, inline_code, paragraphs, table
from tasks.run_stage import log_file

HOW = ("failed", "not run", "ran", "restored", "unchanged")


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
