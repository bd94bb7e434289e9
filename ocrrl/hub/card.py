"""`ocrrl card`: writes the card of a model or a dataset to data/cards/, for a person to read before it is published."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ocrrl import files
from ocrrl.hub.card_sections import card_name
from ocrrl.hub.dataset_card import dataset_card, dataset_cells, own_episodes
from ocrrl.hub.dataset_facts import DatasetFacts
from ocrrl.hub.licence import Licence
from ocrrl.hub.model_card import model_card, model_cells
from ocrrl.layout import DATA
from ocrrl.lineage.datasets import DATASETS, MODELS
from ocrrl.lineage.lineage import Lineage, trace
from ocrrl.lineage.model_results import Results, results_of
from ocrrl.lineage.project import find_project

EPISODE_FOLDERS = ("episodes", "rollouts", "session")


@dataclass(frozen=True)
class Subject:
    """The model or dataset of a card."""

    lineage: Lineage

    @property
    def path(self) -> str:
        return self.lineage.tree.top.path

    @property
    def folder(self) -> Path:
        return self.lineage.project.root / self.path

    @property
    def is_model(self) -> bool:
        return self.lineage.tree.top.kind in MODELS

    @property
    def card_file(self) -> Path:
        """Where its card lies."""
        name = card_name(self.path).replace("/", "-")
        return self.lineage.project.root / DATA / "cards" / f"{name}.md"

    @property
    def cells(self) -> list[str]:
        if self.is_model:
            return model_cells(self.lineage, self.results)
        return dataset_cells(self.lineage, self.facts)

    @cached_property
    def results(self) -> Results:
        """Of a model."""
        return results_of(self.lineage.project, self.path, self.lineage.tree.top.hash)

    @cached_property
    def facts(self) -> DatasetFacts:
        """Of a dataset, from its folder, which must be as dvc.lock has it."""
        from ocrrl.hub.read_dataset import dataset_facts  # loads h5py, which a model's card does without

        names = list(self.manifest)
        kinds = {e.file.removeprefix(f"{self.path}/"): e.kind for e in own_episodes(self.lineage)}
        return dataset_facts(self.folder, names, kinds)

    @cached_property
    def manifest(self) -> dict[str, str]:
        """MD5 by file of the folder, which must be as DVC recorded it."""
        return self.lineage.manifest()


def subject_of(path: str) -> Subject:
    """The model or dataset at `path`; ValueError for another kind of artifact, and for what DVC does not track."""
    project, relative = find_project(path)
    lineage = trace(project, relative)
    kind = lineage.tree.top.kind
    if kind not in (*MODELS, *DATASETS, *EPISODE_FOLDERS):
        kinds = (
            "a model (a VLA or a residual), a dataset, a training set, or a folder of episodes, rollouts or a session"
        )
        raise ValueError(f"{relative} must be {kinds}, got {kind}")
    return Subject(lineage)


def write_card(path: str, out: Path | None = None, licence: Licence | None = None) -> Path:
    """Write the card of the model or dataset at `path` to `out`, by default data/cards/<name>.md of its project; where it went.

    ValueError as `subject_of`, and for an `out` that is no file or lies in something that DVC tracks.
    """
    subject = subject_of(path)
    project = subject.lineage.project
    target = out or subject.card_file
    absolute = target.absolute()
    inside = [tracked for tracked in project.files.outs if absolute.is_relative_to(project.root / tracked)]
    if inside:
        raise ValueError(f"--out must not lie in what DVC tracks, got {target} in {inside[0]}")
    if target.exists() and not target.is_file():  # the file takes the target's place, a device's too
        raise ValueError(f"--out must be a file or nothing yet, got {target}, a folder or a device")
    if subject.is_model:
        text = model_card(subject.lineage, subject.results, licence)
    else:
        text = dataset_card(subject.lineage, subject.facts, licence)
    files.write_bytes(target, text.encode())
    return Path(os.path.relpath(target))
