"""Reads the recordings that `ingest` accepted, for replay and training sets."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from ocrrl.episodes.episode_store import read_episode
from ocrrl.interface.episode import Episode


def ingested_episodes(folder: Path, normalised: Path, report: Path) -> Iterator[tuple[str, Episode]]:
    """The accepted recordings without images, pairs of source name and episode; raises as `ingested_files`."""
    for source, path in ingested_files(folder, normalised, report):
        yield source, read_episode(path, with_images=False)


def ingested_files(folder: Path, normalised: Path, report: Path) -> Iterator[tuple[str, Path]]:
    """The accepted recordings, pairs of source name and file: in `normalised` where ingest converted one, else in `folder`.

    Raises ValueError if a recording is no longer the file that was accepted.
    """
    content = json.loads(report.read_text())
    own = content["source_format"] == "ocrrl"
    for entry in content["accepted"]:
        if own and sha256_of(folder / entry["source"]) != entry["sha256"]:
            raise ValueError(f"{entry['source']}: the file must be the one that was ingested, got other contents")
        converted = normalised / entry["source"]
        yield entry["source"], folder / entry["source"] if own and not converted.is_file() else converted


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's contents, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
