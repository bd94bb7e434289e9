"""A project at a revision, and the path whose lineage is asked for."""

import difflib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from ocrrl.lineage.graph import Tree, build_tree
from ocrrl.lineage.reading.contents import Contents
from ocrrl.lineage.reading.dvc_files import LOCK, DvcFiles, LockedStage, TrackedPath, read_dvc_files
from ocrrl.lineage.reading.hashes import is_folder_hash, manifest_hash
from ocrrl.lineage.reading.pipeline import PipelineStage, pipeline_stages
from ocrrl.lineage.reading.revision import Revision
from ocrrl.lineage.run_record import RUNS_FILE, RunRecord, read_runs


class UnknownPath(ValueError):
    """The path that was asked for is nothing that DVC made or tracks."""


@dataclass(frozen=True)
class Project:
    """What dvc.yaml, dvc.lock, the .dvc files and the run record of `revision` say."""

    revision: Revision

    @property
    def root(self) -> Path:
        return self.revision.root

    @cached_property
    def contents(self) -> Contents:
        return Contents(self.root)

    @cached_property
    def pipeline(self) -> dict[str, PipelineStage]:
        return pipeline_stages(self.revision.read)

    @cached_property
    def files(self) -> DvcFiles:
        return read_dvc_files(self.revision, {out for stage in self.pipeline.values() for out in stage.outs})

    @cached_property
    def _run_record(self) -> tuple[list[RunRecord], list[int]]:
        # A run is found by the hash of what it wrote, so a later run record serves an earlier revision too.
        texts = [Revision(self.root).read(str(RUNS_FILE)), self.revision.commit and self.revision.read(str(RUNS_FILE))]
        lines = dict.fromkeys(line for text in reversed(texts) if text for line in text.splitlines())
        return read_runs("\n".join(lines))

    @property
    def runs(self) -> list[RunRecord]:
        """Every run that the run record holds, oldest first."""
        return self._run_record[0]

    @property
    def notes(self) -> list[str]:
        """What of the run record could not be read."""
        count = len(self._run_record[1])
        return [f"{RUNS_FILE}: {count} lines are no run records and are passed over"] if count else []

    def tree(self, path: str) -> Tree:
        """The tree below the out, .dvc-tracked path, or file in one of those, at `path`; UnknownPath for another."""
        return build_tree(self.files, self.runs, self._tracked(path), self.contents)

    def _tracked(self, path: str) -> TrackedPath:
        found = self.files.producer(path)
        if found is None:
            dep = next((dep for s in self.files.stages.values() for dep in s.deps if dep.path == path), None)
            if dep is not None and path.startswith("data/"):
                return dep
            raise self._unknown(path)
        owner, out = found
        if out.path == path:
            return out
        name = PurePosixPath(path).relative_to(out.path).as_posix()
        manifest = self.contents.manifest(out.path, out.hash) if is_folder_hash(out.hash) else {}
        if manifest is None:
            raise UnknownPath(f"{path}: the files of {out.path} are not known here; `dvc fetch {out.path}` would tell")
        if name in manifest:
            return TrackedPath(path, manifest[name], self.contents.size(manifest[name]))
        below = {file.removeprefix(f"{name}/"): md5 for file, md5 in manifest.items() if file.startswith(f"{name}/")}
        if not below:
            near = difflib.get_close_matches(name, manifest, 3, 0.0)
            maker = owner.address if isinstance(owner, LockedStage) else owner.path
            raise UnknownPath(
                f"{path} must be a file that {maker} left in {out.path} ({out.hash[:8]}), got {name}; "
                f"its files are {', '.join(near) or 'none'}" + (", ..." if len(manifest) > 3 else "")
            )
        return TrackedPath(path, manifest_hash(below), None, len(below))

    def _unknown(self, path: str) -> UnknownPath:
        above = {path, *map(str, PurePosixPath(path).parents)}
        for stage in self.pipeline.values():
            if above & set(stage.outs):
                if not self.files.has_lock:
                    return UnknownPath(
                        f"{LOCK} must be there to tell of {path}; `dvc repro {stage.address}` makes both"
                    )
                return UnknownPath(
                    f"{path} must have been made: it is an out of stage {stage.address}, of which {LOCK} of "
                    f"{self.revision} has no run; `dvc repro {stage.address}` makes it"
                )
        known = sorted({*self.files.outs, *(out for stage in self.pipeline.values() for out in stage.outs)})
        near = difflib.get_close_matches(path, known, 5, 0.3) or known[:5]
        missing = "" if self.files.has_lock else f" ({LOCK} is not there: `dvc repro` makes it)"
        return UnknownPath(
            f"{path} must be an out of a stage, a path that a .dvc file tracks, or a file in one, in {self.revision}"
            f"{missing}; the closest are {', '.join(near) or 'none, since nothing is tracked'}"
        )


def find_project(path: str, revision: str | None = None) -> tuple[Project, str]:
    """The project that `path` (absolute, or relative to the working directory) lies in, and the path relative to it.

    The project is the nearest folder upwards that holds a dvc.yaml. A path that is not in it counts from the project
    too, so that what `dvc` prints can be pasted anywhere in it. FileNotFoundError where there is no project.
    """
    absolute = Path(os.path.normpath(Path(path).absolute()))  # links are kept: outs may be links into the cache
    root = next((folder for folder in (absolute, *absolute.parents) if (folder / "dvc.yaml").is_file()), None)
    if root is None:
        raise FileNotFoundError(f"{path} must lie in a folder below a dvc.yaml, got none above {absolute}")
    project = Project(Revision(root, revision))
    relative = absolute.relative_to(root).as_posix()
    if not Path(path).is_absolute() and not absolute.exists():
        from_root = os.path.normpath(path)
        known = {*project.files.outs, *(out for stage in project.pipeline.values() for out in stage.outs)}
        if any(from_root == out or from_root.startswith(f"{out}/") for out in known):
            return project, from_root
    return project, relative
