"""The run record, `data/runs.jsonl`: one line per finished stage run, append-only.

It holds what no hash may depend on: when, where, with which libraries, from which revision and by which flow run a stage
ran, and what it cost. Lineage finds the run that made an out by the out's path and hash. Users commit it beside dvc.lock.
"""

import errno
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ocrrl.layout import DATA
from ocrrl.lineage.environment import SBOM, environment_hash, keep_environment
from ocrrl.lineage.open_lineage import run_events
from ocrrl.lineage.reading.hashes import Ignored, path_hash
from ocrrl.lineage.reading.pipeline import PipelineStage, pipeline_stages, stage_of_command
from ocrrl.lineage.reading.revision import Revision, git, git_refusal

RUNS_FILE = DATA / "runs.jsonl"
FINISHED = "finished"
_SCHEMA = 1
_PACKAGES = ("ocrrl", "torch", "mujoco", "numpy", "lerobot", "dvc", "prefect")
_WATCHED = ("ocrrl", "code.yaml", "dvc.yaml", "params.yaml", "graph.yaml")


@dataclass(frozen=True)
class RunRecord:
    """One run of a stage."""

    schema: int
    stage: str
    """Its address in dvc.yaml: `train_residual@cube_lift-0`."""
    started: str
    """UTC, ISO 8601."""
    wall_s: float
    cpu_s: float
    """Of the process and of those it waited for."""
    peak_mb: int
    """Resident memory of the largest process."""
    outcome: str
    """`finished`, or `failed` with the error's first line."""
    revision: str | None
    """git's HEAD when the run began; None outside a repository."""
    modified: list[str] | None
    """Tracked files of the code and the parameters that differed from `revision`; None outside a repository."""
    host: str
    versions: dict[str, str | None]
    """Version by package name, None for one that is not installed."""
    flow_run: str | None
    """Prefect's id of the flow run."""
    flow_run_name: str | None
    deployment: str | None
    outs: dict[str, str]
    """DVC's hash by path; empty after a failure."""
    environment: str = ""
    """`environment_hash` of the packages that were installed; empty in lines of version 0.2."""


@dataclass
class Run:
    """A run that goes on; set `exit_code` if it is not 0."""

    exit_code: int = 0


@contextmanager
def recorded_run(options: Mapping[str, Any], label: str, root: Path = Path()) -> Iterator[Run]:
    """Append a line for the stage that the command line `options` name, however the body ends.

    `label` is the address where dvc.yaml has no such command. A record that cannot be written is said on stderr: it
    never makes a stage fail.
    """
    started, wall, cpu = datetime.now(UTC), time.perf_counter(), _usage()[0]
    stage = stage_that_runs(options, label, root)
    head = git(root, "rev-parse", "HEAD")
    changed = None if head is None else git(root, "diff", "--name-only", "--relative", "-z", "HEAD", "--", *_WATCHED)
    revision = head and head.strip()
    modified = None if changed is None else [name for name in changed.split("\0") if name]
    if head is None:
        print(f"{RUNS_FILE}: this run is recorded without a git revision: {git_refusal(root)}", file=sys.stderr)
    events = run_events(stage, root)
    if events is not None:
        events.begin(started, revision, modified)
    run, outcome = Run(), FINISHED
    try:
        yield run
        if run.exit_code:
            outcome = f"failed: exit code {run.exit_code}"
    except BaseException as error:
        outcome = f"failed: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}".rstrip(": ")
        raise
    finally:
        try:
            record = RunRecord(
                schema=_SCHEMA,
                stage=stage.address,
                started=started.isoformat(timespec="seconds"),
                wall_s=round(time.perf_counter() - wall, 2),
                cpu_s=round(_usage()[0] - cpu, 2),
                peak_mb=round(_usage()[1]),
                outcome=outcome,
                revision=revision,
                modified=modified,
                host=platform.node(),
                versions=_versions(),
                flow_run=os.environ.get("OCRRL_FLOW_RUN"),
                flow_run_name=os.environ.get("OCRRL_FLOW_RUN_NAME"),
                deployment=os.environ.get("OCRRL_DEPLOYMENT"),
                outs=_hashes(stage.outs, root) if outcome == FINISHED else {},
                environment=environment_hash(),
            )
            _append(root / RUNS_FILE, record)
            if os.environ.get(SBOM) == "1":
                keep_environment(root)
            if events is not None:
                events.end(datetime.now(UTC), "" if outcome == FINISHED else outcome, record.outs, asdict(record))
        except OSError as error:
            print(f"{RUNS_FILE}: this run is not recorded: {error}", file=sys.stderr)


def read_runs(text: str) -> tuple[list[RunRecord], list[int]]:
    """The runs in a run record's text, oldest first, and the numbers of the lines that are none."""
    runs, unreadable = [], []
    needed = [field.name for field in fields(RunRecord) if field.default is MISSING]
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            row = json.loads(line)
            found = {name: row[name] for name in needed}
            runs.append(RunRecord(**found, environment=row.get("environment", "")))
        except (ValueError, KeyError, TypeError):
            unreadable.append(number)
    return runs, unreadable


@dataclass(frozen=True)
class TimingRow:
    """What one stage's last run cost; `peak_mb` is None in the row of the sums."""

    stage: str
    wall_s: float
    cpu_s: float
    peak_mb: int | None = None
    outcome: str = FINISHED


def timings_table(root: Path = Path()) -> str:
    """Wall and CPU time and memory of the last run of every stage, in the order they ended, with a total."""
    return timings_text(timing_rows(root))


def timing_rows(root: Path = Path()) -> list[TimingRow]:
    """The last run of every stage, in the order they ended, and their sums as `all`; none where no stage has run."""
    path = root / RUNS_FILE
    last: dict[str, RunRecord] = {}
    for run in read_runs(path.read_text())[0] if path.is_file() else []:
        last.pop(run.stage, None)
        last[run.stage] = run
    if not last:
        return []
    rows = [TimingRow(run.stage, run.wall_s, run.cpu_s, run.peak_mb, run.outcome) for run in last.values()]
    return [*rows, TimingRow("all", sum(row.wall_s for row in rows), sum(row.cpu_s for row in rows))]


def timings_text(rows: Sequence[TimingRow]) -> str:
    """`rows` under a header, a line each; the sums have no memory."""
    if not rows:
        return f"{RUNS_FILE} holds no runs: no stage has run here"
    lines = [f"{'stage':<40}{'wall [s]':>10}{'CPU [s]':>10}{'peak [MB]':>11}"]
    for row in rows:
        memory = "" if row.peak_mb is None else f"{row.peak_mb:>11}"
        mark = "" if row.outcome == FINISHED else f"  {row.outcome}"
        lines.append(f"{row.stage:<40}{row.wall_s:>10.1f}{row.cpu_s:>10.1f}{memory}{mark}")
    return "\n".join(lines)


def stage_that_runs(options: Mapping[str, Any], label: str, root: Path = Path()) -> PipelineStage:
    """The stage of dvc.yaml that the command line `options` name; where there is none, one without paths called `label`."""
    stages = declared_stages(root)
    address = stage_of_command(stages, "ocrrl", options)
    return stages[address] if address is not None else PipelineStage(label, "", (), ())


def declared_stages(root: Path = Path()) -> dict[str, PipelineStage]:
    """The stages of dvc.yaml by address; none where it cannot be read: a stage can run by hand while dvc.yaml is edited."""
    try:
        return pipeline_stages(Revision(root).read)
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        return {}


def _hashes(paths: tuple[str, ...], root: Path) -> dict[str, str]:
    ignored = Ignored.of_project(root)
    return {path: path_hash(root / path, root, ignored) for path in sorted(paths) if (root / path).exists()}


def _append(path: Path, record: RunRecord) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(asdict(record), sort_keys=True) + "\n"
    # One write in append mode: lines of stages that end at the same time stay whole.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        written = os.write(descriptor, line.encode())
        if written < len(line.encode()):  # a disk that is full takes a part
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)


def _versions() -> dict[str, str | None]:
    from importlib.metadata import PackageNotFoundError, version  # a third of the time that a lineage takes to start

    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def _usage() -> tuple[float, float]:
    """Seconds of CPU, and megabytes of the largest process, of this process and those it waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in usages), max(each.ru_maxrss for each in usages) / 1024
