"""The episodes of a lineage, one row per file: path, content, and whether a model was trained on it.

The folders' manifests give files and hashes, the datasets' sidecars operator, cell, success and seed, the reports of
`ingest` and `replay` the reasons why one was refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from ocrrl.lineage.datasets import (
    MODELS,
    Dataset,
    Listed,
    datasets_of,
    read_json,
    read_json_in,
    trained_names,
    trained_on,
)
from ocrrl.lineage.graph import Artifact, Stage, Tree
from ocrrl.lineage.reading.contents import Contents
from ocrrl.lineage.reading.hashes import is_folder_hash
from ocrrl.lineage.reading.places import place_of

DEMONSTRATION = "demonstration"
_EPISODE_FOLDERS = ("episodes", "rollouts", "session")
_SUFFIXES = (".h5", ".hdf5")


@dataclass(frozen=True)
class EpisodeFile:
    """One episode, as recorded by teleoperation or by a policy."""

    file: str
    """Path relative to the project; of an episode that no folder of the tree holds, its name in the dataset."""
    hash: str | None
    """MD5 of the file."""
    size: int | None
    """Bytes."""
    kind: str
    """`demonstration`, `rollout` (with the residual) or `base_rollout` (without)."""
    operator: str | None
    cell: str | None
    success: bool | None
    seed: int | None
    length: int | None
    """Control steps."""
    status: str
    """`used` for training a model of the tree, `rejected` by ingest, `dropped` by replay, or `unused`."""
    reason: str
    """Why it was refused or is unused."""
    origin: str | None
    """Of one converted from a foreign format: `<file>:<episode>`."""
    origin_hash: str | None
    datasets: tuple[str, ...]
    """The datasets of the tree that hold it."""
    models: tuple[str, ...]
    """The models of the tree that were trained on it."""


@dataclass(frozen=True)
class Episodes:
    """All of a tree, demonstrations first, and what could not be told."""

    files: tuple[EpisodeFile, ...]
    unknown: tuple[str, ...]


@dataclass
class _Row:
    file: str
    hash: str | None
    kind: str
    listed: Listed | None = None
    seed: int | None = None
    success: bool | None = None
    refused: tuple[str, str] | None = None
    origin: str | None = None
    origin_hash: str | None = None
    datasets: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)


type _Rows = dict[tuple[str, str], dict[str, _Row]]
"""The files of each folder by their path in it."""


def episodes_of(tree: Tree, contents: Contents) -> Episodes:
    """The episodes that `tree` stands on."""
    datasets = datasets_of(tree, contents)
    unknown = [f"{dataset.artifact.path}: {dataset.why_unknown}" for dataset in datasets if dataset.why_unknown]
    rows: _Rows = {}
    ingested = {key for stage in tree.stages.values() if stage.name == "ingest" for key in stage.data}
    for folder in _folders(tree, ingested):
        manifest = contents.manifest(folder.path, folder.hash)
        if manifest is None:
            unknown.append(f"{folder.path}: its files are not known here; `dvc fetch {folder.path}` would bring them")
        rows[folder.key] = dict(_files(folder, manifest or {}, contents, folder.key in ingested))
    for stage in tree.stages.values():
        _add_reports(stage, contents, rows)
    by_source = {dataset.artifact.key: _join(tree, dataset, rows) for dataset in datasets}
    for model in (artifact for artifact in tree.artifacts.values() if artifact.kind in MODELS):
        own = {artifact.key for artifact in trained_on(tree, model)}
        for dataset in datasets:
            if dataset.artifact.key in own:
                for name in trained_names(tree, model, dataset, contents):
                    by_source[dataset.artifact.key][name].models.append(model.path)
    found = [_episode(row, contents) for folder in rows.values() for row in folder.values()]
    found = [episode for episode in found if episode.hash is not None or episode.datasets]
    return Episodes(tuple(sorted(found, key=lambda e: (e.kind != DEMONSTRATION, e.file))), tuple(unknown))


def _folders(tree: Tree, ingested: set[tuple[str, str]]) -> list[Artifact]:
    """The folders of episode files: by their place in `data/`, what `ingest` reads, and what it converts."""
    ingest = [stage for stage in tree.stages.values() if stage.name == "ingest"]
    converted = (
        Artifact(out.path, out.hash, "episodes", out.size, out.files, stage.address, "")
        for stage in ingest
        for out in stage.outs
        if place_of(out.path).kind == "episodes"
    )
    of_tree = [artifact for artifact in tree.artifacts.values() if artifact.kind in _EPISODE_FOLDERS]
    if tree.top.kind == "data":
        of_tree.append(tree.top)
    chosen = (*of_tree, *(tree.artifacts[key] for key in sorted(ingested)), *converted)
    return list({artifact.key: artifact for artifact in chosen if is_folder_hash(artifact.hash)}.values())


def _files(
    folder: Artifact, manifest: dict[str, str], contents: Contents, ingested: bool
) -> Iterator[tuple[str, _Row]]:
    attempts = read_json_in(contents, folder, "attempts.json") if "attempts.json" in manifest else None
    attempted = {attempt.get("episode"): attempt for attempt in (attempts or {}).get("attempts", [])}
    for name, value in sorted(manifest.items()):
        kind = DEMONSTRATION
        if folder.kind in ("rollouts", "session") and not ingested:
            base = place_of(folder.path).variant == "base" or name.startswith("base/")
            kind = "base_rollout" if base else "rollout"
        if name.endswith(_SUFFIXES) and not any(part.startswith(".") for part in name.split("/")):
            attempt = attempted.get(name, {})
            row = _Row(f"{folder.path}/{name}", value, kind, seed=attempt.get("seed"), success=attempt.get("success"))
            yield name, row


def _join(tree: Tree, dataset: Dataset, rows: _Rows) -> dict[str, _Row]:
    """The row of every source that `dataset` lists; one that no folder holds gets a row of its own."""
    stage = tree.stages.get(dataset.artifact.made_by or "")
    near = [*stage.data, *((out.path, out.hash) for out in stage.outs)] if stage else []
    folders = {key[0]: rows[key] for key in near if key in rows}
    joined = {}
    for listed in dataset.episodes or ():
        row = next(_matching(listed, folders), None)
        if row is None:
            row = rows.setdefault(("", ""), {}).setdefault(listed.source, _Row(listed.source, None, listed.kind))
        row.kind = listed.kind
        # What the file itself was ingested as tells more than a simulated view of it.
        if row.listed is None or (row.listed.sha256 is None and listed.sha256 is not None):
            row.listed = listed
        if dataset.is_below:
            row.datasets.append(dataset.artifact.path)
        joined[listed.source] = row
    return joined


def _matching(listed: Listed, folders: dict[str, dict[str, _Row]]) -> Iterator[_Row]:
    for path, files in folders.items():
        # Rollouts are listed with their folder's name, demonstrations by the file's name alone.
        is_demonstration = listed.kind == DEMONSTRATION
        name = listed.source if is_demonstration else listed.source.removeprefix(f"{place_of(path).source}/")
        named = is_demonstration or name != listed.source
        if named and name in files and is_demonstration == (files[name].kind == DEMONSTRATION):
            yield files[name]


def _add_reports(stage: Stage, contents: Contents, rows: _Rows) -> None:
    if stage.name not in ("ingest", "replay"):
        return
    reports = (read_json(contents, out.path, out.hash) for out in stage.outs if out.path.endswith(".json"))
    report = next((content for content in reports if isinstance(content, dict)), {})
    status = "rejected" if stage.name == "ingest" else "dropped"  # the reports' own words
    reasons = {entry["source"]: entry["reason"] for entry in report.get(status) or []}
    outs = [(out.path, out.hash) for out in stage.outs]
    if report.get("source_format", "ocrrl") != "ocrrl":
        origins = {entry["source"]: entry["origin"] for entry in report.get("accepted", [])}
        for key in stage.data:
            # A foreign recording holds many episodes: the converted ones are named, and here those that were refused.
            manifest = contents.manifest(*key) or {} if is_folder_hash(key[1]) else {}
            _name_origins(key[0], manifest, origins, [rows[out] for out in outs if out in rows])
            rows[key] = {
                origin: _Row(f"{key[0]}/{origin}", _origin_hash(manifest, origin), DEMONSTRATION) for origin in reasons
            }
    for key in (*stage.data, *outs):
        for name in rows.get(key, {}).keys() & reasons.keys():
            rows[key][name].refused = rows[key][name].refused or (status, reasons[name])


def _name_origins(
    folder: str, manifest: dict[str, str], origins: dict[str, str], converted: list[dict[str, _Row]]
) -> None:
    """Give the episodes that `ingest` converted the place in `folder` that each came from."""
    for name, row in ((name, row) for files in converted for name, row in files.items() if name in origins):
        row.origin, row.origin_hash = f"{folder}/{origins[name]}", _origin_hash(manifest, origins[name])


def _origin_hash(manifest: dict[str, str], origin: str) -> str | None:
    """Of the file in `<file>:<episode>`, None where it is a folder."""
    return manifest.get(origin.rpartition(":")[0]) or manifest.get(origin)


def _episode(row: _Row, contents: Contents) -> EpisodeFile:
    listed = row.listed
    status, reason = row.refused or ("unused", "")
    if row.models:
        status, reason = "used", ""
    elif not row.refused and row.datasets:
        reason = f"no model of this tree was trained on {', '.join(dict.fromkeys(row.datasets))}"
    elif not row.refused:
        reason = "no dataset of this tree holds it"
    return EpisodeFile(
        file=row.file,
        hash=row.hash,
        size=contents.size(row.hash) if row.hash else None,
        kind=row.kind,
        operator=listed.operator if listed else None,
        cell=listed.cell if listed else None,
        success=listed.success if listed else row.success,
        seed=listed.seed if listed else row.seed,
        length=listed.length if listed else None,
        status=status,
        reason=reason,
        origin=row.origin,
        origin_hash=row.origin_hash,
        datasets=tuple(dict.fromkeys(row.datasets)),
        models=tuple(dict.fromkeys(row.models)),
    )
