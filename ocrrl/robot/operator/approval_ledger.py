"""Counts the episodes begun under each approval, on disk, so that a restart or copied token begins no more.

One file an approval, `approvals/<nonce>.json`, written when the approval is issued and before each episode begins. Beside them
`approvals/.clock.json` holds the latest time at which an approval was looked at: time never goes back here, whatever the
machine's clock does.
"""

import math
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ocrrl import files
from ocrrl.files import locked
from ocrrl.interface.json_file import read_json

CLOCK_SLACK = 60.0  # [s] by which a clock may be set back, as those that keep time by the network do
REMEDY = "find out who changed it, remove it and approve again"


class LedgerFault(RuntimeError):
    """A file of the ledger does not say what it must, or the machine's clock went back: nothing may be concluded from it."""


def open_ledger(folder: Path, nonce: str, facts: dict[str, Any]) -> None:
    """Begin the count of the approval `nonce` at 0; `facts` (JSON) say whose it is."""
    with _only_writer(folder):
        files.write_json(ledger_file(folder, nonce), {**facts, "begun": 0})


def episodes_begun(folder: Path, nonce: str) -> int:
    """Episodes begun under `nonce`; FileNotFoundError where its count is not here, LedgerFault where the file is none."""
    return _ledger(folder, nonce)["begun"]


def count_episode(folder: Path, nonce: str, approved: int) -> bool:
    """Count one more episode, unless `approved` have begun: then False, and nothing is written."""
    with _only_writer(folder):
        ledger = _ledger(folder, nonce)
        if ledger["begun"] >= approved:
            return False
        files.write_json(ledger_file(folder, nonce), {**ledger, "begun": ledger["begun"] + 1})
        return True


def latest_time(folder: Path, now: float) -> float:
    """`now` [s since 1970], or the latest time seen here where that is later; it is written down.

    Raises LedgerFault where the clock stands more than `CLOCK_SLACK` before a time that was seen: what had expired by then would
    be valid again.
    """
    path = folder / "approvals" / ".clock.json"
    if not math.isfinite(now):
        raise LedgerFault(f"this machine's clock must give a time, got {now}")
    with _only_writer(folder):
        seen = _fields(path, "latest", float)["latest"] if path.exists() else -math.inf
        if now < seen - CLOCK_SLACK:
            raise LedgerFault(
                f"this machine's clock must not go back, got a time {seen - now:.0f} s before the latest that approvals saw: set "
                f"this machine's clock; if it was wrong then, remove {path}, and approve again"
            )
        if now > seen:
            files.write_json(path, {"latest": now})
    return max(now, seen)


def ledger_file(folder: Path, nonce: str) -> Path:
    """Where the count of `nonce` lies in the work folder `folder`."""
    return folder / "approvals" / f"{nonce}.json"


def _ledger(folder: Path, nonce: str) -> dict[str, Any]:
    return _fields(ledger_file(folder, nonce), "begun", int)


def _fields(path: Path, name: str, kind: type[int] | type[float]) -> dict[str, Any]:
    """The mapping in `path`, whose `name` is a number of `kind` from 0 on; LedgerFault where it is anything else."""
    if not path.exists():
        raise FileNotFoundError(path)
    try:
        content = read_json(path, remedy=REMEDY)
    except (OSError, ValueError) as error:
        raise LedgerFault(str(error)) from error
    value = content.get(name) if isinstance(content, dict) else None
    allowed = (int,) if kind is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, allowed) or not 0 <= value < math.inf:
        got = f"{name} {value!r}" if isinstance(content, dict) else type(content).__name__
        raise LedgerFault(f"{path} must hold {name}, a number of at least 0, got {got[:80]}; {REMEDY}")
    return content


def _only_writer(folder: Path) -> AbstractContextManager[None]:
    return locked(folder / "approvals" / ".lock")
