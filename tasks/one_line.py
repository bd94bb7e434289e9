"""Prints an unforeseen error as one line that names a log with the traceback."""

import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

LOGS = Path(".work") / "logs"


def in_one_line(name: str, command: Callable[[], int | None]) -> int:
    """The exit code of `command`; 1 where it raised what nobody foresaw, which is said on stderr."""
    try:
        return command() or 0
    except Exception as error:  # its traceback is in the log that the line names
        text = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"{name}: unforeseen {text}; traceback in {_written(error)}; please report it", file=sys.stderr)
        return 1


def _written(error: Exception) -> str:
    text = "".join(traceback.format_exception(error))
    for folder in (LOGS, Path(tempfile.gettempdir())):
        path = folder / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}.log"
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
            return str(path)
    print(text, file=sys.stderr)
    return "the lines above"
