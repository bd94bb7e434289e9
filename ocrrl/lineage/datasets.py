"""The datasets of a lineage: episodes in each sidecar, and the models trained on each dataset."""

import json
from dataclasses import dataclass, fields, replace
from typing import Any

from ocrrl.lineage.graph import Artifact, Tree
from ocrrl.lineage.reading.contents import Contents
from ocrrl.lineage.reading.dvc_files import TrackedPath
from ocrrl.lineage.reading.hashes import is_folder_hash
from ocrrl.lineage.reading.places import place_of
from ocrrl.lineage.trained_elsewhere import EXPORTED, IMPORTED

DATASETS = ("dataset", "training set")
MODELS = ("VLA", "residual", "model")
_SIDECAR = "sidecar/episodes.json"


@dataclass(frozen=True)
class Listed:
    """An episode as a dataset's sidecar has it: the fields of `ocrrl.datasets.sidecar.SidecarEpisode`."""

    source: str
    kind: str
    operator: str | None
    cell: str | None
    success: bool | None
    seed: int | None
    length: int | None
    sha256: str | None


@dataclass(frozen=True)
class Dataset:
    """A LeRobotDataset and its episodes; None for one without a sidecar, or whose sidecar is not here."""

    artifact: Artifact
    is_below: bool
    """It is part of the tree; else a sister of one that is, and only tells what the episodes are."""
    episodes: tuple[Listed, ...] | None
    why_unknown: str = ""


def datasets_of(tree: Tree, contents: Contents) -> list[Dataset]:
    """Every dataset of the tree in its order, then those that its `ingest` stages wrote beside what the tree reads."""
    below = [artifact for artifact in tree.artifacts.values() if artifact.kind in DATASETS]
    sisters = [
        Artifact(out.path, out.hash, "dataset", out.size, out.files, stage.address, "")
        for stage in tree.stages.values()
        for out in stage.outs
        if stage.name == "ingest"
        and place_of(out.path).kind == "dataset"
        and (out.path, out.hash) not in tree.artifacts
    ]
    found = [_dataset(tree, artifact, contents, True) for artifact in below]
    return found + [_dataset(tree, artifact, contents, False) for artifact in sisters]


def read_json(contents: Contents, path: str, value: str | None) -> Any:
    """The JSON file that had the hash `value` at `path`; None where it is not here or is no JSON."""
    content = contents.read(path, value) if value else None
    try:
        return None if content is None else json.loads(content)
    except ValueError:
        return None


def read_json_in(contents: Contents, folder: Artifact | TrackedPath, name: str) -> Any:
    """As `read_json`, of the file `name` in `folder`."""
    if not is_folder_hash(folder.hash):
        return None
    manifest = contents.manifest(folder.path, folder.hash) or {}
    return read_json(contents, f"{folder.path}/{name}", manifest.get(name))


def trained_on(tree: Tree, model: Artifact) -> list[Artifact]:
    """The datasets that `model` itself was trained on; of a residual or a copy, those of the model that it stands on.

    Of a VLA that was trained elsewhere, the dataset that was exported for it.

    A stage that trains several variants reads all their datasets: a variant's own ones bear its name (`vla_retrained`,
    `training_set_retrained`), and a variant whose name no dataset bears was trained on the demonstrations' dataset.
    """
    children = tree.children(model)
    if elsewhere := [child for child in children if child.kind in (IMPORTED, EXPORTED)]:
        return list(dict.fromkeys(dataset for child in elsewhere for dataset in trained_on(tree, child)))
    datasets = [child for child in children if child.kind in DATASETS]
    if not datasets:
        below = [child for child in children if child.kind in MODELS]
        return list(dict.fromkeys(dataset for child in below for dataset in trained_on(tree, child)))
    variant = place_of(_out_of(tree, model).path).variant
    named = [dataset for dataset in datasets if variant and place_of(dataset.path).variant == variant]
    return named or [dataset for dataset in datasets if dataset.kind == "dataset"] or datasets


def trained_names(tree: Tree, model: Artifact, dataset: Dataset, contents: Contents) -> list[str]:
    """The sources in `dataset` that `model` was trained on: those that its own record names, else all."""
    listed = [episode.source for episode in dataset.episodes or ()]
    record = read_json_in(contents, _out_of(tree, model), "training.json")
    names = record.get("episode_names") if isinstance(record, dict) else None
    return listed if names is None else [name for name in listed if name in set(names)]


def _out_of(tree: Tree, artifact: Artifact) -> Artifact | TrackedPath:
    """The out that `artifact` is, or is a file in."""
    stage = tree.stages.get(artifact.made_by or "")
    above = (out for out in stage.outs if artifact.path.startswith(f"{out.path}/")) if stage else iter(())
    return next(above, artifact)


def _dataset(tree: Tree, artifact: Artifact, contents: Contents, is_below: bool) -> Dataset:
    manifest, why = contents.manifest(artifact.path, artifact.hash), ""
    rows = read_json_in(contents, artifact, _SIDECAR)
    if manifest is None:
        why = f"its files are not known here; `dvc fetch {artifact.path}` would bring them"
    elif _SIDECAR not in manifest:
        why = f"it has no {_SIDECAR}, so its episodes are not known"
    elif not isinstance(rows, list):
        why = f"its {_SIDECAR} is not here; `dvc fetch {artifact.path}` would bring it"
    if why:
        return Dataset(artifact, is_below, None, why)
    names = [field.name for field in fields(Listed)]
    listed = [Listed(**{name: row.get(name) for name in names}) for row in rows]
    maker = tree.stages.get(artifact.made_by or "")
    if maker and maker.name == "replay":  # its sidecar describes the simulated view: not the cell that was recorded in
        listed = [replace(episode, cell=None, length=None) for episode in listed]
    return Dataset(artifact, is_below, tuple(listed))
