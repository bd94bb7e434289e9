"""Converts dvc.lock of older versions: the same hashes at today's paths, for the stages of the current dvc.yaml.

A stage that was up to date stays so: its data have the hashes that dvc.lock recorded, and its code those of this version, which
writes the same bytes as the older ones (`code_versions.json`), but for `OTHER_BYTES`. What made a stage stale is left out of its
entry, so that it stays stale.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from ocrrl import files
from ocrrl.code_units import CODE_FILE
from ocrrl.interface.cameras import DEFAULT_CAMERAS
from ocrrl.interface.renamed import current_names
from ocrrl.layout import DATA
from ocrrl.lineage.reading.contents import Contents
from ocrrl.lineage.reading.dvc_files import LOCK
from ocrrl.lineage.reading.hashes import bytes_md5, manifest_hash
from ocrrl.lineage.reading.pipeline import PipelineStage, pipeline_stages
from ocrrl.lineage.reading.places import here, new_place
from ocrrl.lineage.reading.revision import Revision
from ocrrl.params import CAMERAS, CONFIGS, PARAMS_FILE, SHARED, Params
from ocrrl.params_graph import GRAPH_FILE, graph_of_project
from ocrrl.safe_yaml import read_yaml

CODE_VERSIONS = "code_versions.json"
THIS_VERSION = "0.3.0"
OTHER_BYTES = ("ocrrl/robot/twin",)
"""Code that computes other bytes than in the versions before, here the twin's images: stages that depend on it run again."""

type Entry = dict[str, Any]
"""A path as dvc.lock has it: path, hash, md5, size, and nfiles of a folder."""


@dataclass
class Migrated:
    """The new content of dvc.lock, and by stage the outs that have other bytes now: hash by path, before and after."""

    lock: dict[str, Any]
    rewritten: dict[str, tuple[dict[str, str], dict[str, str]]] = field(default_factory=dict)


def migrated_lock(root: Path, params: Mapping[str, Any], counts: tuple[int, int]) -> Migrated:
    """dvc.lock in `root` for `params`, the sections of a new params.yaml, and so many residual seeds and rounds.

    Entries that are of this version already, or of code that no version had, stay as they are. Raises ValueError for a dvc.lock
    that is no YAML.
    """
    content = read_yaml(root / LOCK) or {}
    values = {str(PARAMS_FILE): params, str(GRAPH_FILE): graph_of_project(root, Params(params).tabletop_tasks, *counts)}
    texts = {name: yaml.safe_dump(dict(sections), sort_keys=False) for name, sections in values.items()}
    stages = pipeline_stages(lambda name: texts.get(name) or Revision(root).read(name))
    outs = [out for stage in stages.values() for out in stage.outs]
    migrated, contents = Migrated(content), Contents(root)
    versions = json.loads((resources.files("ocrrl.migrate") / CODE_VERSIONS).read_text())
    for address, old in (content.get("stages") or {}).items():
        renamed = False
        for recorded in old.get("params", {}).values():
            names = {name: current_names(name.partition(".")[0], value) for name, value in recorded.items()}
            renamed |= names != recorded
            recorded |= names
        stage = stages.get(address)
        if stage is None or not (renamed or _is_older(old, stage, versions)):
            continue
        given = {entry["path"]: entry for entry in _moved(old, contents)}
        deps = [_dep(dep, given, old, outs, contents, versions) for dep in stage.deps]
        content["stages"][address] = {
            "cmd": old["cmd"],
            "deps": [dep for dep in deps if dep is not None],
            "params": _params(stage, old.get("params", {}), values),
            "outs": [given[out] for out in stage.outs if out in given],
        }
        before = {here(out["path"]): out["md5"] for out in old.get("outs", [])}
        after = {out: given[out]["md5"] for out in stage.outs if out in given}
        if before != after:
            migrated.rewritten[address] = before, after
    return migrated


def code_entries(root: Path, stages: Mapping[str, PipelineStage]) -> dict[str, Entry]:
    """The code that `stages` of the project in `root` depend on, as dvc.lock records it; what `code_versions.json` keeps."""
    from ocrrl.lineage.reading.hashes import Ignored, files_under, path_hash

    ignored, found = Ignored.of_project(root), {}
    for path in sorted({dep for stage in stages.values() for dep in stage.deps if not _is_data(dep)}):
        inside = files_under(root / path, root, ignored) if (root / path).is_dir() else [root / path]
        found[path] = {
            "md5": path_hash(root / path, root, ignored),
            "size": sum(file.stat().st_size for file in inside),
        } | ({"nfiles": len(inside)} if (root / path).is_dir() else {})
    return found


def _is_new(old: Mapping[str, Any], stage: PipelineStage) -> bool:
    names = {(file, name) for file, values in old.get("params", {}).items() for name in values}
    deps, outs = ({entry["path"] for entry in old.get(part, [])} for part in ("deps", "outs"))
    return names == set(stage.params) and deps == set(stage.deps) and outs == set(stage.outs)


def _is_older(old: Mapping[str, Any], stage: PipelineStage, versions: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the entry `old` is of an older version: by its paths, or by its code where that is a known version's."""
    if any(here(entry["path"]) != entry["path"] for part in ("deps", "outs") for entry in old.get(part, [])):
        return True
    known = [version for version, hashes in versions.items() if _has_code_of(old, hashes)]
    return bool(known) and not (THIS_VERSION in known and _is_new(old, stage))


def _has_code_of(old: Mapping[str, Any], hashes: Mapping[str, Any]) -> bool:
    """Whether all code of the entry `old` has the `hashes` of a version: text or, of this version, entries of dvc.lock."""
    code = {dep["path"]: dep["md5"] for dep in old.get("deps", []) if not _is_data(dep["path"])}
    known = {path: entry if isinstance(entry, str) else entry["md5"] for path, entry in hashes.items()}
    return bool(code) and all(known.get(path) == value for path, value in code.items())


def _is_data(path: str) -> bool:
    return not path.startswith("ocrrl/")


def _moved(old: Mapping[str, Any], contents: Contents) -> Iterator[Entry]:
    """The data of a stage's old entry at their new places; a replay's report and its list of kept episodes are two."""
    for entry in (*old.get("deps", []), *old.get("outs", [])):
        place = new_place(PurePosixPath(entry["path"]))
        if place.parts[:3] != (DATA.name, "metrics", "replay") or str(place) == entry["path"]:
            yield entry | {"path": str(place)}
            continue
        for path, content in _without_list(place, entry["md5"], contents):
            _keep(content, contents)
            yield {"path": str(path), "hash": "md5", "md5": bytes_md5(content), "size": len(content)}


def _without_list(report: PurePosixPath, value: str, contents: Contents) -> Iterator[tuple[PurePosixPath, bytes]]:
    """The replay report that had the hash `value`, and the list that it held; none where its bytes are not here any more."""
    accepted = PurePosixPath(DATA.name, "accepted", *report.parts[-2:])
    cached = contents.read(str(report), value)
    if cached is not None:
        measured = json.loads(cached)
        kept = measured.pop("kept", None)
    else:  # split already; it is the one if together they were that file
        split = [contents.root / report, contents.root / accepted]
        if not all(path.is_file() for path in split):
            return
        measured, kept = (json.loads(path.read_text()) for path in split)
        if bytes_md5(files.json_bytes(measured | {"kept": kept})) != value:
            return
    yield report, files.json_bytes(measured)
    if kept is not None:
        yield accepted, files.json_bytes(kept)


def _keep(content: bytes, contents: Contents) -> None:
    """Put `content` into DVC's cache, where a stage's outs are."""
    place = contents.cached(bytes_md5(content))
    if contents.cache.is_dir() and not place.exists():
        files.write_bytes(place, content)
        place.chmod(0o444)


def _dep(
    path: str,
    given: Mapping[str, Entry],
    old: Mapping[str, Any],
    outs: list[str],
    contents: Contents,
    versions: Mapping[str, Mapping[str, Any]],
) -> Entry | None:
    """The entry of the dependency `path`; None where it was stale or its hash cannot be told."""
    if path in given and _is_data(path):
        return given[path]
    if path in OTHER_BYTES:
        return None
    if not _is_data(path):
        same = any(_has_code_of(old, hashes) for hashes in versions.values())
        now = versions.get(THIS_VERSION, {}).get(path)
        return {"path": path, "hash": "md5"} | now if same and now else None
    inside = {part: given[part] for part in given if part.startswith(f"{path}/")}
    if set(inside) != {out for out in outs if out.startswith(f"{path}/")}:
        return None
    manifest = contents.joined_manifest(path, {part: entry["md5"] for part, entry in inside.items()})
    if manifest is None:
        return None
    size = sum(entry.get("size", 0) for entry in inside.values())
    return {"path": path, "hash": "md5", "md5": manifest_hash(manifest), "size": size, "nfiles": len(manifest)}


def _params(stage: PipelineStage, old: Mapping[str, Mapping[str, Any]], values: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that `stage` records now, those of them that its old entry had in effect: `old`, by file."""

    def value_of(file: str, name: str) -> Any:
        found = values[file]
        for key in name.split("."):
            found = found[key]
        return found

    new: dict[str, Any] = {}
    for file, name in stage.params:
        if file == str(CODE_FILE):  # a hash that is another one now is to make the stage stale
            new.setdefault(file, {}).update({key: old[file][key] for key in [name] if key in old.get(file, {})})
            continue
        section = name.partition(".")[0]
        before, now, shared = old.get(file, {}), value_of(file, name), f"{section}.{SHARED}"
        if section in CONFIGS and shared not in before:  # 0.1: a task's values with the shared ones
            task = next(
                other.partition(".")[2]
                for _, other in stage.params
                if other.startswith(f"{section}.") and not other.endswith(f".{SHARED}")
            )
            same = before.get(f"{section}.{task}") == value_of(file, shared) | value_of(file, f"{section}.{task}")
        elif section == CAMERAS:  # which versions before 0.3 did not have
            same = before.get(name, {camera: list(size) for camera, size in DEFAULT_CAMERAS.items()}) == now
        elif section in CONFIGS:  # a task's own values alone would be taken for those of 0.1 by the next run
            same = before[shared] == value_of(file, shared) and before.get(name) == now
        elif name in before:
            same = before[name] == now
        else:  # 0.1 had the tasks alone, in params.yaml
            same = old.get(str(PARAMS_FILE), {}).get("tasks") == values[str(GRAPH_FILE)]["tasks"]
        if same:
            new.setdefault(file, {})[name] = now
    return new
