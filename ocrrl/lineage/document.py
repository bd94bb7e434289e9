"""A lineage as a JSON document, complete and in a stable order."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from ocrrl.lineage.graph import Stage
from ocrrl.lineage.lineage import Lineage
from ocrrl.lineage.reading.dvc_files import TrackedPath
from ocrrl.lineage.reading.revision import Revision

FORMAT = 1


def lineage_document(lineage: Lineage, with_hosts: bool = True) -> dict[str, Any]:
    """Fields:

    format      1
    path, hash  of the artifact that was asked for; hashes are DVC's
    revision    {"name", "commit"}, both null for the working tree
    artifacts   [{"path", "hash", "kind", "size_bytes", "files", "made_by", "note"}], from the top downwards
    stages      [{"address", "command", "seed", "params", "code": [{"path", "hash"}], "data": [{"path", "hash"}],
                "outs": [{"path", "hash"}], "run"}], each after those it reads from; `run` is a line of the run record or null,
                without the name of the machine unless `with_hosts`
    episodes    [the fields of `EpisodeFile`], demonstrations first, then by file
    unknown     [what could not be told, and what would bring it]
    """
    tree = lineage.tree
    artifacts = (asdict(artifact) for artifact in tree.artifacts.values())
    return {
        "format": FORMAT,
        "path": tree.top.path,
        "hash": tree.top.hash,
        "revision": named_revision(lineage.revision),
        "artifacts": [{"size_bytes" if key == "size" else key: row[key] for key in row} for row in artifacts],
        "stages": [_stage(stage, with_hosts) for stage in tree.stages_in_order()],
        "episodes": [asdict(episode) for episode in lineage.episodes.files],
        "unknown": lineage.unknown,
    }


def named_revision(revision: Revision) -> dict[str, str | None]:
    """Its name and commit, both None for the working tree."""
    return {"name": revision.name, "commit": revision.commit}


def _stage(stage: Stage, with_hosts: bool) -> dict[str, Any]:
    def paths(tracked: Iterable[TrackedPath]) -> list[dict[str, str]]:
        return [{"path": path.path, "hash": path.hash} for path in tracked]

    data = [{"path": path, "hash": value} for path, value in stage.data]
    run = {k: v for k, v in asdict(stage.run).items() if with_hosts or k != "host"} if stage.run else None
    return vars(stage) | {"code": paths(stage.code), "data": data, "outs": paths(stage.outs), "run": run}
