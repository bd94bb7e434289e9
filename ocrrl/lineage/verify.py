"""`ocrrl lineage --verify`: compares the files of the workspace with dvc.lock."""

import os
from dataclasses import dataclass
from pathlib import Path

from ocrrl.lineage.graph import Artifact, Tree
from ocrrl.lineage.reading.contents import Contents
from ocrrl.lineage.reading.hashes import file_md5, is_folder_hash, manifest_hash, manifest_of
from ocrrl.lineage.trained_elsewhere import EXPORTED
from ocrrl.lineage.wording import short


@dataclass(frozen=True)
class Verdict:
    """On one artifact: `ok`, `changed` or `missing`, with what differs and what would bring it back."""

    artifact: Artifact
    state: str
    details: tuple[str, ...] = ()


def verify(tree: Tree, contents: Contents) -> list[Verdict]:
    """Hash every file of every artifact in the workspace again, but of exports, which are not the project's; in the tree's order."""
    return [_verdict(artifact, contents) for artifact in tree.artifacts.values() if artifact.kind != EXPORTED]


def verify_text(verdicts: list[Verdict]) -> str:
    """A line each, the differing files below it, and the counts."""
    lines = []
    for verdict in verdicts:
        artifact = verdict.artifact
        lines.append(f"{verdict.state:<8} {artifact.path}  {short(artifact.hash)}")
        lines += [f"         {detail}" for detail in verdict.details]
    counts = {state: sum(verdict.state == state for verdict in verdicts) for state in ("ok", "changed", "missing")}
    return "\n".join([*lines, ", ".join(f"{count} {state}" for state, count in counts.items())])


def _verdict(artifact: Artifact, contents: Contents) -> Verdict:
    path = contents.root / artifact.path
    if not path.exists():
        return Verdict(artifact, "missing", (_remedy(artifact, contents),))
    if path.is_dir() != is_folder_hash(artifact.hash):
        return Verdict(artifact, "changed", (f"must be a {'file' if path.is_dir() else 'folder'}",))
    if not path.is_dir():
        found = file_md5(path)
        changed = (f"now {short(found)}", _remedy(artifact, contents))
        return Verdict(artifact, "ok") if found == artifact.hash else Verdict(artifact, "changed", changed)
    files = manifest_of(path, contents.root, contents.ignored)
    if manifest_hash(files) == artifact.hash:
        return Verdict(artifact, "ok")
    expected = contents.manifest(artifact.path, artifact.hash)
    if expected is None:
        unknown = f"now {short(manifest_hash(files))}; which files is not known, the cache has no list of them"
        return Verdict(artifact, "changed", (unknown, _remedy(artifact, contents)))
    names = sorted(name for name in {*files, *expected} if files.get(name) != expected.get(name))
    details = (f"{_verb(files.get(name), expected.get(name))} {artifact.path}/{name}" for name in names)
    return Verdict(artifact, "changed", (*details, _remedy(artifact, contents)))


def _verb(found: str | None, expected: str | None) -> str:
    if found is None:
        return f"missing {short(expected)}"
    return f"added {short(found)}" if expected is None else f"changed {short(expected)} -> {short(found)}"


def _remedy(artifact: Artifact, contents: Contents) -> str:
    if artifact.note and artifact.made_by is None and not artifact.note.startswith("added"):
        return artifact.note
    target, root = artifact.path, contents.root
    absent = contents.absent(artifact.hash)
    if not absent:
        return f"the cache has it: `dvc checkout {target}` brings it back"
    elsewhere = f"`dvc pull {target}` brings it from a remote, `dvc repro` makes it again"
    broken = [path for path in map(contents.cached, absent) if path in contents.broken]
    if not broken:
        return f"the cache has it not: {elsewhere}"
    more = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
    return (
        f"the cache's copy is broken, its bytes are not what its name says: delete {Path(os.path.relpath(broken[0], root))}"
        f"{more}, then {elsewhere}"
    )
