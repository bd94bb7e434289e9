"""Errors that are bugs of ours, met while others' files are read: one line in the report, the traceback in a file."""

from pathlib import Path

from ocrrl.recordings.expendable import UnforeseenError


class UnforeseenLog:
    """The file of tracebacks of one run; it is there only when there was one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._begun = False

    def note(self, origin: str, error: UnforeseenError) -> str:
        """Keep the traceback; returns the line for the report."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a" if self._begun else "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{origin}\n{error.trace}\n")
        self._begun = True
        first = str(error).splitlines()[0][:200]
        return f"unforeseen {first}; traceback in {self.path}"
