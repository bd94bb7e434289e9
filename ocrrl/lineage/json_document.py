"""A lineage as JSON, complete and in a stable order.

format      1
path, hash  of the artifact that was asked for; hashes are DVC's
revision    {"name", "commit"}, both null for the working tree
artifacts   [{"path", "hash", "kind", "size_bytes", "files", "made_by", "note"}], from the top downwards
stages      [{"address", "command", "seed", "params", "code": [{"path", "hash"}], "data": [{"path", "hash"}],
            "outs": [{"path", "hash"}], "run"}], each after those it reads from; `run` is a line of the run record or null
episodes    [the fields of `EpisodeFile`], demonstrations first, then by file
unknown     [what could not be told, and what would bring it]
"""

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from ocrrl.lineage.dvc_files import TrackedPath
from ocrrl.lineage.graph import Artifact, Stage
from ocrrl.lineage.lineage import Lineage

FORMAT = 1


def lineage_json(lineage: Lineage) -> str:
    """The document described above."""
    tree, revision = lineage.tree, lineage.revision
    return json.dumps(
        {
            "format": FORMAT,
            "path": tree.top.path,
            "hash": tree.top.hash,
            "revision": {"name": revision.name, "commit": revision.commit},
            "artifacts": [_artifact(artifact) for artifact in tree.artifacts.values()],
            "stages": [_stage(stage) for stage in tree.stages_in_order()],
            "episodes": [asdict(episode) for episode in lineage.episodes.files],
            "unknown": lineage.unknown,
        },
        indent=2,
    )


def _artifact(artifact: Artifact) -> dict[str, Any]:
    return {
        "path": artifact.path,
        "hash": artifact.hash,
        "kind": artifact.kind,
        "size_bytes": artifact.size,
        "files": artifact.files,
        "made_by": artifact.made_by,
        "note": artifact.note,
    }


def _stage(stage: Stage) -> dict[str, Any]:
    return {
        "address": stage.address,
        "command": stage.command,
        "seed": stage.seed,
        "params": stage.params,
        "code": _paths(stage.code),
        "data": [{"path": path, "hash": value} for path, value in stage.data],
        "outs": _paths(stage.outs),
        "run": asdict(stage.run) if stage.run else None,
    }


def _paths(tracked: Iterable[TrackedPath]) -> list[dict[str, str]]:
    return [{"path": path.path, "hash": path.hash} for path in tracked]
