"""Reads dvc.lock (schema 2.0) and .dvc files."""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from ocrrl.code_units import CODE_FILE, NO_UNIT, is_placeholder
from ocrrl.interface.renamed import current_name
from ocrrl.lineage.reading.pipeline import command_of, load_yaml
from ocrrl.lineage.reading.revision import Revision

LOCK = "dvc.lock"


@dataclass(frozen=True)
class TrackedPath:
    """A file or folder with the hash that DVC recorded."""

    path: str
    hash: str
    """MD5; of a folder that of its manifest, with ".dir"."""
    size: int | None = None
    """Bytes, of a folder in all."""
    files: int | None = None
    """Number of files of a folder, None for a file."""


@dataclass(frozen=True)
class LockedStage:
    """A stage as it last ran."""

    address: str
    command: str
    deps: tuple[TrackedPath, ...]
    params: dict[str, Any]
    """Value by dotted name (`retrain.cube_lift.steps`); with `<file>:` before it where the file is not params.yaml."""
    outs: tuple[TrackedPath, ...]


@dataclass(frozen=True)
class DvcFile:
    """A .dvc file: data that a user added or imported."""

    path: str
    outs: tuple[TrackedPath, ...]
    imported_from: str | None


@dataclass(frozen=True)
class DvcFiles:
    """Everything at one revision."""

    has_lock: bool
    stages: dict[str, LockedStage] = field(default_factory=dict)
    added: tuple[DvcFile, ...] = ()

    def producer(self, path: str) -> tuple[LockedStage | DvcFile, TrackedPath] | None:
        """The stage or .dvc file whose out is `path` or a folder above it, with that out."""
        candidates = (path, *map(str, PurePosixPath(path).parents))
        return next((self.outs[candidate] for candidate in candidates if candidate in self.outs), None)

    @cached_property
    def outs(self) -> dict[str, tuple[LockedStage | DvcFile, TrackedPath]]:
        """The stage or .dvc file of every out, and the out, by path."""
        owners = (*self.stages.values(), *self.added)
        return {out.path: (owner, out) for owner in owners for out in owner.outs}


def read_dvc_files(revision: Revision, stage_outs: set[str]) -> DvcFiles:
    """dvc.lock and the .dvc files at `revision`; `stage_outs` are folders in which no .dvc file can be.

    ValueError naming the file and the field for one that DVC did not write so.
    """
    text = revision.read(LOCK)
    content = load_yaml(text or "", LOCK)
    if text is not None and content.get("schema") != "2.0":
        raise ValueError(f"{LOCK}: schema must be '2.0', got {content.get('schema')!r}")
    try:
        stages = {
            address: LockedStage(
                address=address,
                command=command_of(entry.get("cmd", "")),
                deps=(*_deps(entry.get("deps", [])), *_installed_code(entry.get("params", {}))),
                params=_params(entry.get("params", {})),
                outs=tuple(_tracked(out) for out in entry.get("outs", [])),
            )
            for address, entry in (content.get("stages") or {}).items()
        }
    except (AttributeError, TypeError, KeyError) as error:
        raise ValueError(f"{LOCK}: every stage must hold cmd, deps, params and outs, got {error!r}") from error
    outs = stage_outs | {out.path for stage in stages.values() for out in stage.outs}
    added = tuple(_dvc_file(path, revision.read(path) or "") for path in revision.dvc_files(outs))
    return DvcFiles(text is not None, stages, added)


def flat_params(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested `values` by dotted name; lists and empty mappings are leaves."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            yield from flat_params(value, f"{name}.")
        else:
            yield name, value


def _params(entry: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        current_name(name) if file == "params.yaml" else f"{file}:{name}": value
        for file, values in entry.items()
        if file != str(CODE_FILE)
        for name, value in flat_params(values)
        if not (value == {} and name.count(".") == 1)  # a tabletop task without values of its own
    }


def _deps(entries: list[dict[str, Any]]) -> Iterator[TrackedPath]:
    return (_tracked(dep) for dep in entries if not is_placeholder(dep["path"]))


def _installed_code(params: dict[str, dict[str, Any]]) -> Iterator[TrackedPath]:
    """The code of the installed package that a stage ran, by unit: a parameter, where a checkout has a dependency."""
    units = params.get(str(CODE_FILE), {})
    return (TrackedPath(name, str(value)) for name, value in units.items() if name != NO_UNIT)


def _tracked(entry: dict[str, Any], folder: str = ".") -> TrackedPath:
    path = posixpath.normpath(posixpath.join(folder, entry["path"]))
    other = next((str(entry[name]) for name in ("checksum", "etag", "version_id") if name in entry), "")
    return TrackedPath(path, entry.get("md5") or other, entry.get("size"), entry.get("nfiles"))


def _dvc_file(path: str, text: str) -> DvcFile:
    content = load_yaml(text, path)
    folder = posixpath.join(posixpath.dirname(path), content.get("wdir", "."))
    try:
        outs = tuple(_tracked(out, folder) for out in content.get("outs", []))
        sources = [_import_source(dep) for dep in content.get("deps", [])]
    except (AttributeError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: every entry must hold a path, got {error!r}") from error
    return DvcFile(path, outs, ", ".join(sources) or None)


def _import_source(dep: dict[str, Any]) -> str:
    repository = dep.get("repo")
    if not repository:
        return str(dep["path"])
    return f"{repository.get('url')} {dep['path']} at {str(repository.get('rev_lock', ''))[:8]}"
