"""What changed between an artifact at two revisions, and why it was made again.

The stages of both trees are compared one by one. A cause is a difference that no other stage explains: a parameter, a
command, code, data that a user put there, or outs that differ although everything recorded is the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ocrrl.lineage.graph import Stage
from ocrrl.lineage.lineage import Lineage
from ocrrl.lineage.reading.contents import Contents
from ocrrl.lineage.reading.dvc_files import TrackedPath
from ocrrl.lineage.reading.hashes import is_folder_hash
from ocrrl.lineage.reading.revision import Revision

SHARED = "shared"
"""Key of the values of all tabletop tasks in a section of params.yaml."""


@dataclass(frozen=True)
class PathChange:
    """A file, or a folder with the files in it, whose hash differs; None for one that was not or is not there."""

    path: str
    before: str | None
    after: str | None
    files: tuple["PathChange", ...] = ()
    """The changed files of a folder, paths relative to the project."""
    why_unknown: str = ""
    """Why the files of a folder are not told."""


@dataclass(frozen=True)
class ValueChange:
    """A parameter or a version; None for one that was not or is not there."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True)
class StageChange:
    """How one stage differs; `state` is `changed`, `added`, `removed` or `same`."""

    address: str
    state: str
    command: ValueChange | None
    params: tuple[ValueChange, ...]
    code: tuple[PathChange, ...]
    sources: tuple[PathChange, ...]
    """Changed data that no stage made."""
    inputs: tuple[str, ...]
    """Paths of changed data that other stages made."""
    outs: tuple[PathChange, ...]
    versions: tuple[ValueChange, ...] | None
    """Libraries by the run records of both; None where one of them is missing."""

    @property
    def is_cause(self) -> bool:
        """Whether something changed here that no other stage explains."""
        return bool(self.command or self.params or self.code or self.sources) or self.is_unexplained

    @property
    def is_unexplained(self) -> bool:
        """Whether the outs differ although command, parameters, code and data are the same."""
        return (
            self.state == "changed"
            and bool(self.outs)
            and not (self.command or self.params or self.code or self.sources or self.inputs)
        )


@dataclass(frozen=True)
class Difference:
    """Between two lineages of one path; `stages` that differ, each after those whose outs it reads."""

    path: str
    revisions: tuple[Revision, Revision]
    before: str
    after: str
    top_files: PathChange | None
    """The path itself, where no stage made it."""
    stages: tuple[StageChange, ...]

    @property
    def is_changed(self) -> bool:
        return self.before != self.after

    @property
    def causes(self) -> list[StageChange]:
        return [stage for stage in self.stages if stage.is_cause]


def compare(old: Lineage, new: Lineage) -> Difference:
    """What is different in `new`, both lineages of the same path."""
    removed = [stage for stage in old.tree.stages_in_order() if stage.address not in new.tree.stages]
    ordered = [*removed, *new.tree.stages_in_order()]
    changes = [
        _stage_change(old, new, old.tree.stages.get(stage.address), new.tree.stages.get(stage.address))
        for stage in ordered
    ]
    before, after, top = old.tree.top, new.tree.top, None
    if before.hash != after.hash and not (before.made_by and after.made_by):
        top = _path_change(new.project.contents, before.path, before.hash, after.hash)
    return Difference(
        path=after.path,
        revisions=(old.revision, new.revision),
        before=before.hash,
        after=after.hash,
        top_files=top,
        stages=tuple(change for change in changes if change.state != "same"),
    )


def _stage_change(old: Lineage, new: Lineage, before: Stage | None, after: Stage | None) -> StageChange:
    known = after or before
    assert known is not None
    if before is None or after is None:
        state = "added" if before is None else "removed"
        return StageChange(known.address, state, None, (), (), _sources(old, new, before, after), (), (), None)
    contents = new.project.contents
    commands = ValueChange("command", before.command, after.command) if before.command != after.command else None
    code = tuple(
        _code_change(old.revision, new.revision, path, *hashes) for path, hashes in _changed(before.code, after.code)
    )
    made = {artifact.path for tree in (old.tree, new.tree) for artifact in tree.artifacts.values() if artifact.made_by}
    read = (tuple(TrackedPath(*key) for key in stage.data) for stage in (before, after))
    inputs = [path for path, _ in _changed(*read) if path in made]
    outs = tuple(_path_change(contents, path, *hashes) for path, hashes in _changed(before.outs, after.outs))
    change = StageChange(
        address=known.address,
        state="changed",
        command=commands,
        params=_param_changes(before.params, after.params),
        code=code,
        sources=_sources(old, new, before, after),
        inputs=tuple(inputs),
        outs=outs,
        versions=_value_changes(before.run.versions, after.run.versions) if before.run and after.run else None,
    )
    return change if change.is_cause or change.inputs or change.outs else replace(change, state="same")


def _sources(old: Lineage, new: Lineage, before: Stage | None, after: Stage | None) -> tuple[PathChange, ...]:
    """Data that `after` reads, no stage made, and `before` read otherwise or not at all."""
    olds, news = (
        {path: tree.artifacts[path, value] for path, value in (stage.data if stage else ())}
        for tree, stage in ((old.tree, before), (new.tree, after))
    )
    changes = []
    for path in sorted({*olds, *news}):
        found = [artifacts.get(path) for artifacts in (olds, news)]
        one, two = (artifact and artifact.hash for artifact in found)
        if one != two and not any(artifact and artifact.made_by for artifact in found):
            changes.append(_path_change(new.project.contents, path, one, two))
    return tuple(changes)


def _changed(
    before: tuple[TrackedPath, ...], after: tuple[TrackedPath, ...]
) -> list[tuple[str, tuple[str | None, str | None]]]:
    olds, news = ({tracked.path: tracked.hash for tracked in paths} for paths in (before, after))
    names = sorted({*olds, *news})
    return [(path, (olds.get(path), news.get(path))) for path in names if olds.get(path) != news.get(path)]


def _value_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[ValueChange, ...]:
    names = sorted(
        name for name in {*before, *after} if before.get(name) != after.get(name) or (name in before) != (name in after)
    )
    return tuple(ValueChange(name, before.get(name), after.get(name)) for name in names)


def _param_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[ValueChange, ...]:
    """As `_value_changes`, of the values in effect: a tabletop task's own value comes before the section's shared one."""
    with_shared = {name.partition(".")[0] for name in (*before, *after) if name.split(".")[1:2] == [SHARED]}

    def in_effect(values: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
        found = {}
        for name in sorted(values, key=lambda name: name.split(".")[1:2] != [SHARED]):
            section, _, rest = name.partition(".")
            key = f"{section}.{rest.partition('.')[2]}" if section in with_shared else name
            found[key] = (name, values[name])
        return found

    old, new = in_effect(before), in_effect(after)
    values = ({key: value for key, (_, value) in found.items()} for found in (old, new))
    return tuple(replace(change, name=(old | new)[change.name][0]) for change in _value_changes(*values))


def _path_change(contents: Contents, path: str, before: str | None, after: str | None) -> PathChange:
    """The change of data, with the files of a folder by the manifests in the cache."""
    manifests = []
    for value in (before, after):
        if value is None or not is_folder_hash(value):
            manifests.append({} if value is None else {"": value})
            continue
        manifest = contents.manifest(path, value)
        if manifest is None:
            return PathChange(path, before, after, (), f"the cache has no list of the files of {value[:8]}")
        manifests.append(manifest)
    old, new = manifests
    if set(old) | set(new) <= {""}:
        return PathChange(path, before, after)
    names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    files = (PathChange(f"{path}/{name}".rstrip("/"), old.get(name), new.get(name)) for name in names)
    return PathChange(path, before, after, tuple(files))


def _code_change(old: Revision, new: Revision, path: str, before: str | None, after: str | None) -> PathChange:
    """The change of code, with the files of a folder by git: DVC keeps no copy of code."""
    if not is_folder_hash(before or after or ""):
        return PathChange(path, before, after)
    names = new.changed_files(old, path)
    unknown = "" if names else "git sees no difference: the code that ran was not committed"
    return PathChange(path, before, after, tuple(PathChange(name, None, None) for name in names), unknown)
