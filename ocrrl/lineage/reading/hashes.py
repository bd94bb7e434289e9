"""DVC 3's hashes: of a file the MD5 of its bytes, of a folder the MD5 of its manifest and ".dir".

A manifest is the JSON list of the folder's files, `[{"md5": ..., "relpath": ...}, ...]`, ordered by relpath, as Python's
`json.dumps(..., sort_keys=True)` writes it.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from pathspec import GitIgnoreSpec

_BY_DEFAULT = (".hg/", ".git/", ".git", ".dvc/")  # DVC's own
FOLDER_SUFFIX = ".dir"


class Ignored:
    """Whether a path of the project is ignored: the patterns of .dvcignore, by the library that DVC asks too."""

    def __init__(self, patterns: Iterable[str] = ()):
        self._spec = GitIgnoreSpec.from_lines((*_BY_DEFAULT, *patterns))

    @classmethod
    def of_project(cls, root: Path) -> "Ignored":
        """The patterns of `root/.dvcignore`, none where there is no such file."""
        path = root / ".dvcignore"
        return cls(path.read_text().splitlines() if path.is_file() else ())

    def __call__(self, path: str, is_folder: bool = False) -> bool:
        """Whether `path` (relative to the project, with slashes) or a folder above it is ignored."""
        return self._spec.match_file(f"{path}/" if is_folder else path)


def is_folder_hash(value: str) -> bool:
    return value.endswith(FOLDER_SUFFIX)


def file_md5(path: Path) -> str:
    """MD5 of the file's bytes, 32 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def bytes_md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def manifest_bytes(manifest: Mapping[str, str]) -> bytes:
    """The manifest of files (relative path to MD5) as DVC keeps it in its cache."""
    entries = [{"md5": md5, "relpath": name} for name, md5 in sorted(manifest.items())]
    return json.dumps(entries, sort_keys=True).encode()


def read_manifest(content: bytes) -> dict[str, str]:
    """MD5 by relative path. ValueError if `content` is no manifest."""
    return {entry["relpath"]: entry["md5"] for entry in json.loads(content)}


def manifest_hash(manifest: Mapping[str, str]) -> str:
    return bytes_md5(manifest_bytes(manifest)) + FOLDER_SUFFIX


def manifest_of(folder: Path, root: Path, ignored: Ignored) -> dict[str, str]:
    """MD5 of each file under `folder`, by path relative to it; `ignored` is asked for paths relative to `root`."""
    return {path.relative_to(folder).as_posix(): file_md5(path) for path in files_under(folder, root, ignored)}


def path_hash(path: Path, root: Path, ignored: Ignored) -> str:
    """The hash that DVC records for the file or folder at `path`. FileNotFoundError if nothing is there."""
    return manifest_hash(manifest_of(path, root, ignored)) if path.is_dir() else file_md5(path)


def files_under(folder: Path, root: Path, ignored: Ignored) -> list[Path]:
    """The files under `folder` that are not ignored; links to folders are not followed, as in DVC."""
    found = []
    for parent, folders, names in os.walk(folder):
        here = Path(parent)
        relative = Path(os.path.relpath(here, root)).as_posix()
        prefix = "" if relative == "." else f"{relative}/"
        folders[:] = [name for name in folders if not ignored(f"{prefix}{name}", is_folder=True)]
        found += [here / name for name in names if not ignored(f"{prefix}{name}")]
    return found
