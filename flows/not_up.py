"""Why a Prefect server did not start, from its log; most often its database in PREFECT_HOME."""

import os
import tempfile
from pathlib import Path

from prefect import __version__
from prefect.settings import get_current_settings

SIGNS = (
    (
        "Can't locate revision",
        f"{{database}} must be of the Prefect that is installed ({__version__}), it is not: move it aside, or {{other}}",
    ),
    ("database is locked", "{database} is locked by another process: end that (`fuser {database}`), or {other}"),
    ("file is not a database", "{database} is damaged: move it aside, or {other}"),
    ("malformed", "{database} is damaged: move it aside, or {other}"),
    ("readonly database", "PREFECT_HOME ({home}) must be a folder that can be written: {other}"),
    ("unable to open database file", "PREFECT_HOME ({home}) must be a folder that can be written: {other}"),
    ("No space left", "the disk is full: free some space (`make gc`, docs/dvc.md)"),
    ("database or disk is full", "the disk is full: free some space (`make gc`, docs/dvc.md)"),
    ("address already in use", "its port is taken: `export PREFECT_API_URL=http://127.0.0.1:4201/api`"),
    ("Permission denied", "a file that it needs cannot be opened"),
)
OTHER = "`export PREFECT_HOME=$PWD/.work/prefect`"


def require_home() -> None:
    """SystemExit unless Prefect can keep its files where its settings say."""
    home = get_current_settings().home
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            return
    except OSError as error:
        message = f"serve: PREFECT_HOME ({home}) must be a folder that can be written, got: {error.strerror}: {OTHER}"
        raise SystemExit(message) from error


def why_not_up(url: str, code: int | None, seconds: float, log: Path, written: int) -> str:
    """One line. `code`: what the server ended with, None if it runs; `log` had `written` bytes when it was started."""
    said = log.read_bytes()[written:].decode(errors="replace") if log.is_file() else ""
    home = get_current_settings().home
    what = f"the Prefect server ended with exit code {code} after {seconds:.0f} s"
    if code is None:
        what = f"no Prefect server answered at {url} within {seconds:.0f} s"
    reason = next((text for sign, text in SIGNS if sign in said), "")
    named = reason.format(database=home / "prefect.db", home=home, other=OTHER)
    return ": ".join(filter(None, (what, named))) + f"; its log: {os.path.relpath(log)}"
