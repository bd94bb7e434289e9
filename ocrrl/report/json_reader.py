"""Reads the JSON files of a report; a missing file is named and not fatal."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Json = dict[str, Any]


class JsonReader:
    """Reads files on `subject`, such as a tabletop task, and gathers in `missing` what was not there."""

    def __init__(self, subject: str = ""):
        self._prefix = f"{subject}: " if subject else ""
        self.missing: list[str] = []

    def lacks(self, what: str) -> None:
        """Note that `what` is missing."""
        self.missing.append(self._prefix + what)

    def read(self, what: str, path: Path | None) -> Json | None:
        """What `path` holds, None where it is not there. Raises ValueError for a file that is there and is not JSON."""
        if path is None or not path.is_file():
            self.lacks(what if path is None else f"{what} ({path})")
            return None
        try:
            return json.loads(path.read_text())
        except ValueError as error:
            raise ValueError(f"{path} must be JSON, got: {error}") from error

    def read_all(self, what: str, paths: Iterable[Path]) -> list[tuple[Path, Json]]:
        """Those of `paths` that are there, with what they hold; `what` is missing where no path is given."""
        found = [(path, self.read(what, path)) for path in paths]
        if not found:
            self.lacks(what)
        return [(path, content) for path, content in found if content is not None]
