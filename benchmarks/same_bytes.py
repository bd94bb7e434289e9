"""Whether two versions of the code compute the same: the data folders of two projects, file by file.

    python -m benchmarks.same_bytes BEFORE AFTER

Both are project folders in which the same preset ran, BEFORE with older code. A file of BEFORE is looked for in AFTER in its
old place and in its new one (`ocrrl.lineage.reading.places`). Where bytes differ, contents are compared (`benchmarks.same_content`).
Exit status 1 for any difference, or a file in one folder only. Of a report's page and its text only the presence is compared.
"""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from benchmarks.same_content import RENAMED_KEYS, Renamed, content_differences
from ocrrl.lineage.reading.places import new_place
from ocrrl.report.table import Table, markdown_table

NOT_DATA = {".gitignore", ".gitkeep", "runs.jsonl"}
ACCEPTED = "data/accepted/*/*.json"  # the list `kept` in the metrics of `replay` before
ONLY_IN_AFTER = ("data/reports/*/multitask/success.json", "data/reports/*/multitask/rounds.json")
PRESENCE_ONLY = ("index.html", "results.md")
_SHOWN = 5  # differences of a file


@dataclass(frozen=True)
class Compared:
    """One file, or Zarr folder, of BEFORE or AFTER."""

    path: PurePath
    """In the new layout."""
    same_bytes: bool
    differences: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The kind of artifact, which one stage makes."""
        parts = self.path.parts
        return "/".join(parts[1:3]) if parts[1] in ("metrics", "models") else parts[1]


def compare_projects(before: Path, after: Path) -> list[Compared]:
    """Every file below data/ of the projects `before` and `after`, sorted; ValueError where one holds none."""
    old, new = _artifacts(before), _artifacts(after)
    pairs = {path: path if path in new else _place(path) for path in old}
    found = [(path, place) for path, place in pairs.items() if place in new]
    hashes = {
        _sha256(before / path): _sha256(after / place)
        for path, place in found
        if (before / path).is_file() and not _same_bytes(before / path, after / place)
    }
    compared = [_compared(before / path, after / place, new_place(place), hashes) for path, place in found]
    for path, place in pairs.items():
        if place not in new:
            compared.append(Compared(new_place(path), False, ("only in BEFORE",)))
    for path in new - set(pairs.values()):
        if path.match(ACCEPTED):
            compared.append(_accepted(before, after, path))
        elif not any(path.match(pattern) for pattern in ONLY_IN_AFTER):
            compared.append(Compared(new_place(path), False, ("only in AFTER",)))
    return sorted(compared, key=lambda item: item.path)


def _place(path: PurePath) -> PurePath:
    """Where the file that version 0.1 had at `path` is today."""
    return new_place(PurePath(*("videos" if part == "films" else part for part in path.parts)))


def _compared(before: Path, after: Path, place: PurePath, hashes: dict[str, str]) -> Compared:
    if _same_bytes(before, after):
        return Compared(place, True)
    if place.name in PRESENCE_ONLY:
        return Compared(place, False)
    kind = Compared(place, False).kind
    renamed = Renamed(RENAMED_KEYS.get(re.sub(r"_\d+$", "", kind), {}), hashes, confidence=kind.startswith("rollouts"))
    return Compared(place, False, tuple(content_differences(before, after, renamed)))


def _accepted(before: Path, after: Path, path: PurePath) -> Compared:
    report = before / "data/metrics" / path.parts[-2] / "replay" / path.name
    kept = json.loads(report.read_text())["kept"] if report.is_file() else None
    same = kept == json.loads((after / path).read_text())
    return Compared(path, False, () if same else (f"other episodes than `kept` in {report}",))


def table_of(compared: Iterable[Compared]) -> Table:
    """A row for each kind of artifact: how many files are equal, and which are not."""
    kinds: dict[str, list[Compared]] = {}
    for item in compared:
        kinds.setdefault(item.kind, []).append(item)
    return Table(
        ("data/", "files", "equal bytes", "equal content", "different"),
        [
            (
                kind,
                str(len(items)),
                str(sum(item.same_bytes for item in items)),
                str(sum(not item.same_bytes and not item.differences for item in items)),
                str(sum(bool(item.differences) for item in items)),
            )
            for kind, items in sorted(kinds.items())
        ],
    )


def _artifacts(project: Path) -> set[PurePath]:
    """The files below data/, relative to `project`, a Zarr folder as one."""
    paths = {
        PurePath(*(path.relative_to(project).parts[: _zarr_depth(path.relative_to(project))]))
        for path in (project / "data").rglob("*")
        if path.is_file() and path.name not in NOT_DATA and path.suffix != ".dvc"
    }
    if not paths:
        raise ValueError(f"{project} must be a project folder in which stages have run, got no file below its data/")
    return paths


def _zarr_depth(path: PurePath) -> int | None:
    return next((depth for depth, part in enumerate(path.parts, 1) if part.endswith(".zarr")), None)


def _same_bytes(before: Path, after: Path) -> bool:
    files = [sorted(path.relative_to(root) for path in _files_of(root)) for root in (before, after)]
    return files[0] == files[1] and all(_sha256(before / name) == _sha256(after / name) for name in files[0])


def _files_of(path: Path) -> Iterator[Path]:
    return iter([path]) if path.is_file() else (inside for inside in path.rglob("*") if inside.is_file())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, metavar="BEFORE")
    parser.add_argument("after", type=Path, metavar="AFTER")
    options = parser.parse_args()
    try:
        compared = compare_projects(options.before, options.after)
    except ValueError as error:
        sys.exit(str(error))
    print(markdown_table(table_of(compared)))
    different = [item for item in compared if item.differences]
    for item in different:
        print(f"{item.path}: {'; '.join(item.differences[:_SHOWN])}{' ...' * (len(item.differences) > _SHOWN)}")
    for item in compared:
        if not item.same_bytes and not item.differences:
            print(f"{item.path}: equal content, other bytes")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
