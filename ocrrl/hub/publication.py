"""What a push uploads: a folder as DVC recorded it, its card, its lineage, and a dataset's Croissant metadata."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from ocrrl.hub.card import subject_of
from ocrrl.hub.card_sections import card_name, simulated
from ocrrl.hub.croissant import croissant
from ocrrl.hub.whole_card import read_whole_card
from ocrrl.interface.model_folder import require_model_folder
from ocrrl.lineage.document import lineage_document

README, LINEAGE, CROISSANT = "README.md", "lineage.json", "croissant.json"
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


@dataclass(frozen=True)
class Publication:
    """Ready to be uploaded; nothing of it was sent."""

    repository: str
    kind: str
    """`model` or `dataset`, as hubs call it."""
    files: dict[str, Path | bytes]
    """By path in the repository."""
    version: str
    """DVC's hash."""
    tag: str
    """The format's version, which LeRobot looks for in a dataset's repository; empty where there is none."""

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(len(part) if isinstance(part, bytes) else part.stat().st_size for part in self.files.values())


def publication(path: str, repository: str, card: Path | None, endpoint: str) -> Publication:
    """Of the model or dataset at `path`, with the card in the file `card`, by default that of `ocrrl card`.

    Everything is checked before anything is sent: the folder against DVC's hash, a model's folder for code and pickles, the card.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise ValueError(f"--to must be OWNER/NAME of a repository, got {repository!r}")
    subject = subject_of(path)
    text, licence = read_whole_card(card or subject.card_file, subject)
    manifest = subject.manifest
    if subject.is_model:
        require_model_folder(subject.folder)
        if "vla.json" in manifest:
            raise ValueError(
                f"{subject.path} must hold weights to be pushed, got a model on a policy server (vla.json)"
            )
    files: dict[str, Path | bytes] = {name: subject.folder / name for name in sorted(manifest)}
    files[README] = text.encode()
    files[LINEAGE] = _json(lineage_document(subject.lineage, with_hosts=False))
    if subject.is_model:
        return Publication(repository, "model", files, subject.lineage.tree.top.hash, "")
    facts, name = subject.facts, card_name(subject.path)
    simulation = (
        f" ({', '.join(simulated(subject.cells))}: a simulated stand-in for a lab)" if simulated(subject.cells) else ""
    )
    described = f"{facts.count} episodes, {facts.frames} control steps; cell: {', '.join(subject.cells)}{simulation}."
    url = f"{endpoint}/datasets/{repository}"
    files[CROISSANT] = _json(croissant(facts, manifest, name.replace("/", "-"), described, licence, url))
    tag = facts.format.rpartition(" ")[2] if facts.is_lerobot else ""
    return Publication(repository, "dataset", files, subject.lineage.tree.top.hash, tag)


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()
