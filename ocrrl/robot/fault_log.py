"""Every fault of a cell as a line of JSON, written the moment it happens."""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from ocrrl.robot.fault import Fault


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
