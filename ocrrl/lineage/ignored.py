"""Files that DVC ignores: the patterns of .dvcignore, in gitignore's syntax."""

import re
from collections.abc import Iterable
from pathlib import Path

_BY_DEFAULT = (".hg/", ".git/", ".git", ".dvc/")  # DVC's own


class Ignored:
    """Tells whether a path of the project is ignored; of several patterns that match, the last one decides."""

    def __init__(self, patterns: Iterable[str] = ()):
        lines = (line.rstrip() for line in (*_BY_DEFAULT, *patterns))
        self._rules = [_rule(line) for line in lines if line and not line.startswith("#")]

    @classmethod
    def of_project(cls, root: Path) -> "Ignored":
        """The patterns of `root/.dvcignore`, none where there is no such file."""
        path = root / ".dvcignore"
        return cls(path.read_text().splitlines() if path.is_file() else ())

    def __call__(self, path: str, is_folder: bool = False) -> bool:
        """Whether `path` (relative to the project, with slashes) is ignored itself; folders above it are not asked."""
        ignored = False
        for pattern, only_folders, negated in self._rules:
            if (is_folder or not only_folders) and pattern.fullmatch(path):
                ignored = not negated
        return ignored


def _rule(line: str) -> tuple[re.Pattern[str], bool, bool]:
    negated = line.startswith("!")
    line = line.removeprefix("!").removeprefix("\\")
    only_folders = line.endswith("/")
    line = line.rstrip("/")
    # A pattern with a slash counts from the project's root; one without matches at any depth.
    anchored = "/" in line
    expression = "".join(_expression(part) for part in re.split(r"(\*\*/|/\*\*|\*|\?|\[[^]]+\])", line.lstrip("/")))
    return re.compile(expression if anchored else f"(?:.*/)?{expression}", re.DOTALL), only_folders, negated


def _expression(part: str) -> str:
    wild = {"**/": "(?:.*/)?", "/**": "/.*", "*": "[^/]*", "?": "[^/]"}
    if part in wild:
        return wild[part]
    if part.startswith("[") and part.endswith("]"):
        return "[^" + part[2:] if part.startswith("[!") else part
    return re.escape(part)
