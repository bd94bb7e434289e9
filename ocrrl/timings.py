"""What each stage cost: wall time, CPU time and the peak memory of its largest process, kept outside every tracked output."""

import json
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ocrrl.layout import WORK

TIMINGS_FILE = WORK / "timings.jsonl"


@contextmanager
def timed(stage: str, path: Path = TIMINGS_FILE) -> Iterator[None]:
    """Append one line for `stage` to `path` when the body has run to its end; processes it waited for count too."""
    wall, cpu = time.perf_counter(), _cpu_seconds()
    yield
    row = {
        "stage": stage,
        "wall_s": round(time.perf_counter() - wall, 2),
        "cpu_s": round(_cpu_seconds() - cpu, 2),
        "peak_mb": round(_peak_megabytes()),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")


def timings_table(path: Path = TIMINGS_FILE) -> str:
    """The last run of every stage, in the order they ended, with a total."""
    if not path.is_file():
        return f"{path} holds no timings: no stage has run here"
    last: dict[str, dict] = {}
    for line in path.read_text().splitlines():
        row = json.loads(line)
        last.pop(row["stage"], None)
        last[row["stage"]] = row
    lines = [f"{'stage':<40}{'wall [s]':>10}{'CPU [s]':>10}{'peak [MB]':>11}"]
    for row in last.values():
        lines.append(f"{row['stage']:<40}{row['wall_s']:>10.1f}{row['cpu_s']:>10.1f}{row['peak_mb']:>11}")
    wall, cpu = (sum(row[key] for row in last.values()) for key in ("wall_s", "cpu_s"))
    return "\n".join([*lines, f"{'all':<40}{wall:>10.1f}{cpu:>10.1f}"])


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _peak_megabytes() -> float:
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
