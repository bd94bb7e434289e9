"""Every fault of a cell as a line of JSON, written the moment it happens, and told of at the end of a session."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from ocrrl.robot.arm.fault import Fault

FAULTS = "faults.jsonl"
"""In the folder of a cell's logs."""


class FaultLog:
    """Appends to `path`; called by whichever thread meets the fault, one at a time (the gate holds its lock)."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        """`clock` is the wall's [s], since a fault's own time is the arm's."""
        self._path, self._clock = path, clock
        path.parent.mkdir(parents=True, exist_ok=True)

    def __call__(self, fault: Fault) -> None:
        when = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds")
        with self._path.open("a") as log:
            log.write(json.dumps({"utc": when} | asdict(fault)) + "\n")


@contextmanager
def faults_told(path: Path, told: Callable[[str], object]) -> Iterator[None]:
    """At the end, however it comes, `told` gets a line on the faults that were added to the log `path` meanwhile, if any."""
    before = path.stat().st_size if path.is_file() else 0
    try:
        yield
    finally:
        if path.is_file():
            with path.open() as log:
                log.seek(before)
                faults = log.readlines()
            if faults:
                first = json.loads(faults[0])
                count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults, the first"
                told(f"{count}: {first['cause']}: {first['detail']}; see {path}")
