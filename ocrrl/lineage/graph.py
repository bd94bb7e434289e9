"""The tree of an artifact: its inputs and stages, back to data that no stage made.

artifact ──made_by──► stage ──data──► artifacts          an artifact is a path with the hash it had then,
                            ──code──► files and folders  so one that changed since is another artifact
                            ──params─► values
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from ocrrl.layout import DATA
from ocrrl.lineage.reading.contents import Contents
from ocrrl.lineage.reading.dvc_files import DvcFile, DvcFiles, LockedStage, TrackedPath
from ocrrl.lineage.reading.hashes import manifest_hash
from ocrrl.lineage.reading.places import here, place_of
from ocrrl.lineage.run_record import FINISHED, RunRecord
from ocrrl.lineage.trained_elsewhere import EXPORTED, IMPORTED, trained_elsewhere


@dataclass(frozen=True)
class Artifact:
    """A file or folder under DVC."""

    path: str
    hash: str
    kind: str
    """What it is: VLA, residual, dataset, episodes, ..."""
    size: int | None
    """Bytes."""
    files: int | None
    """Number of files of a folder, None for a file."""
    made_by: str | None
    """Address of the stage, None for data that a user added, and where dvc.lock no longer tells."""
    note: str
    """How it came in where no stage made it."""

    @property
    def key(self) -> tuple[str, str]:
        return self.path, self.hash


@dataclass(frozen=True)
class Stage:
    """A stage of the tree as it last ran."""

    address: str
    command: str
    seed: int | None
    """Of its command line; seeds among the parameters stand there."""
    params: dict[str, Any]
    """Value by dotted name."""
    code: tuple[TrackedPath, ...]
    data: tuple[tuple[str, str], ...]
    """Keys of the artifacts that it read."""
    outs: tuple[TrackedPath, ...]
    run: RunRecord | None
    """The last finished run that wrote exactly these outs, None where the run record has none."""

    @property
    def name(self) -> str:
        """Without what tells its instances apart: `train_residual`."""
        return self.address.partition("@")[0]


@dataclass(frozen=True)
class Tree:
    """Everything below one artifact, each artifact and stage once, in the order of a walk from it downwards."""

    top: Artifact
    artifacts: dict[tuple[str, str], Artifact] = field(default_factory=dict)
    stages: dict[str, Stage] = field(default_factory=dict)

    def children(self, artifact: Artifact) -> list[Artifact]:
        """What the stage that made `artifact` read."""
        stage = self.stages.get(artifact.made_by or "")
        return [self.artifacts[key] for key in stage.data] if stage else []

    def below(self, artifact: Artifact) -> Iterator[Artifact]:
        """`artifact` and everything that it was made from, nearest first."""
        seen, waiting = {artifact.key}, [artifact]
        while waiting:
            current = waiting.pop(0)
            yield current
            for child in self.children(current):
                if child.key not in seen:
                    seen.add(child.key)
                    waiting.append(child)

    @property
    def tabletop_tasks(self) -> list[str]:
        """`finetune@cube_lift-sim` and `finetune@round1-cube_lift-sim` are about cube_lift; the longest names first."""
        items = (address.partition("@")[2].split("-") for address in self.stages)
        firsts = (next((part for part in item if part and not re.fullmatch(r"round\d+", part)), "") for item in items)
        return sorted({task for task in firsts if task}, key=lambda task: (-len(task), task))

    def stages_in_order(self) -> list[Stage]:
        """The stages, each after those whose outs it read."""
        makers = {
            address: {self.artifacts[key].made_by for key in stage.data} - {None}
            for address, stage in self.stages.items()
        }
        ordered: dict[str, Stage] = {}
        while len(ordered) < len(self.stages):
            ready = [name for name in self.stages if name not in ordered and makers[name] <= set(ordered)]
            if not ready:
                raise ValueError(f"dvc.lock must hold no cycle, got one among {', '.join(set(makers) - set(ordered))}")
            ordered |= {name: self.stages[name] for name in ready}
        return list(ordered.values())


def build_tree(files: DvcFiles, runs: list[RunRecord], top: TrackedPath, contents: Contents) -> Tree:
    """The tree below `top`, an out that `files` know or a file in one."""
    tree = Tree(_artifact(files, top))
    waiting = [tree.top]
    while waiting:
        artifact = waiting.pop()
        if artifact.key in tree.artifacts:
            continue
        tree.artifacts[artifact.key] = artifact
        if artifact.made_by is None:
            waiting += _trained_elsewhere(tree, files, artifact, contents)
            continue
        locked = files.stages[artifact.made_by]
        if artifact.made_by not in tree.stages:
            tree.stages[artifact.made_by] = _stage(files, runs, locked, contents)
        data = [_artifact(files, dep) for dep in data_deps(files, locked, contents)]
        waiting += reversed(data)
    return replace(tree, top=tree.artifacts[tree.top.key])


def _trained_elsewhere(tree: Tree, files: DvcFiles, artifact: Artifact, contents: Contents) -> list[Artifact]:
    """Add to `tree` how the imported VLA `artifact` came to be; the dataset below it. Nothing for any other artifact."""
    found = (
        trained_elsewhere(TrackedPath(artifact.path, artifact.hash), contents) if artifact.kind == IMPORTED else None
    )
    if found is None:
        return []
    exported = Artifact(found.export.path, found.export.hash, EXPORTED, None, None, found.export_address, "")
    for made, read, address, command in (
        (found.imported, found.export, found.import_address, found.import_command),
        (found.export, found.source, found.export_address, found.export_command),
    ):
        tree.stages[address] = Stage(address, command, None, {}, (), ((read.path, read.hash),), (made,), None)
    tree.artifacts[artifact.key] = replace(artifact, made_by=found.import_address)
    tree.artifacts[exported.key] = exported
    return [_artifact(files, found.source)]


def data_deps(files: DvcFiles, stage: LockedStage, contents: Contents) -> Iterator[TrackedPath]:
    """What `stage` read besides code; a folder of several outs counts as those outs, unless they have changed since."""
    for dep in stage.deps:
        inside = [out for path, (_, out) in files.outs.items() if path.startswith(f"{dep.path}/")]
        if inside and files.producer(dep.path) is None:
            manifest = contents.joined_manifest(dep.path, {out.path: out.hash for out in inside})
            yield from inside if manifest is None or manifest_hash(manifest) == dep.hash else [dep]
        elif inside or _is_data(files, dep.path):
            yield dep


def _is_data(files: DvcFiles, path: str) -> bool:
    return path.split("/")[0] == DATA.name or files.producer(path) is not None


def _artifact(files: DvcFiles, tracked: TrackedPath) -> Artifact:
    made_by, note = _origin(files, tracked)
    kind = place_of(tracked.path).kind
    return Artifact(tracked.path, tracked.hash, kind, tracked.size, tracked.files, made_by, note)


def _origin(files: DvcFiles, tracked: TrackedPath) -> tuple[str | None, str]:
    found = files.producer(tracked.path)
    if found is None:
        if any(path.startswith(f"{tracked.path}/") for path in files.outs):
            return None, "an earlier one: what stages wrote there has changed since, and `dvc repro` would read that"
        return None, "tracked by nothing: only its hash is known; `dvc add` would keep it"
    owner, out = found
    if out.path == tracked.path and out.hash != tracked.hash:
        maker = f"stage {owner.address}" if isinstance(owner, LockedStage) else owner.path
        return None, f"an earlier one: {maker} now holds {out.hash[:8]}, and `dvc repro` would read that"
    if isinstance(owner, DvcFile):
        return None, f"added by {owner.path}" + (
            f", imported from {owner.imported_from}" if owner.imported_from else ""
        )
    return owner.address, ""


def _stage(files: DvcFiles, runs: list[RunRecord], stage: LockedStage, contents: Contents) -> Stage:
    words = stage.command.split()
    seed = words[words.index("--seed") + 1] if "--seed" in words[:-1] else ""
    wanted = {(here(out.path), out.hash) for out in stage.outs}
    wrote = ((run, {(here(path), value) for path, value in run.outs.items()}) for run in reversed(runs))
    made = (run for run, outs in wrote if run.outcome == FINISHED and wanted <= outs)
    data = list(data_deps(files, stage, contents))
    return Stage(
        address=stage.address,
        command=stage.command,
        seed=int(seed) if seed.isdigit() else None,
        params=stage.params,
        code=tuple(dep for dep in stage.deps if not _is_data(files, dep.path) and dep not in data),
        data=tuple((dep.path, dep.hash) for dep in data),
        outs=stage.outs,
        run=next(made, None) if wanted else None,
    )
