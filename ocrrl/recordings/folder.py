"""Lists a folder of recordings: files and datasets to read, and the reason for each other file.

Nothing is opened: names, kinds and links decide. What may be a recording and cannot be reached is refused; what is of another
kind is left out. Only papers that accompany recordings (`.md`, `.yaml`, ...) are passed over without a word.
"""

import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ocrrl.episodes.episode_store import SUFFIXES

PAPERS = frozenset(
    {".md", ".txt", ".yaml", ".yml", ".json", ".jsonl", ".log", ".pdf", ".png", ".jpg", ".jpeg", ".dvc", ".sh", ".py"}
)
"""Suffixes of files that lie beside recordings and are none."""
KINDS = {
    ".npz": "arrays of NumPy",
    ".npy": "an array of NumPy",
    ".bag": "a ROS bag",
    ".db3": "a ROS 2 bag",
    ".mcap": "a log of MCAP",
    ".zarr": "a Zarr store",
    ".parquet": "a Parquet table outside a LeRobotDataset",
    ".mp4": "a video outside a LeRobotDataset",
    ".pkl": "a Python pickle",
    ".pt": "a file of PyTorch",
    ".tar": "an archive",
    ".gz": "an archive",
    ".tgz": "an archive",
    ".zip": "an archive",
    ".partial": "an unfinished recording",
}
_DIGITS = 8  # of the hash that tells apart what the replacement makes equal
_LONGEST = 150  # characters; a file name may have 255 bytes, and callers append to these
_HOUSEKEEPING = frozenset({".git", ".dvc", ".cache", ".gitignore", ".gitattributes", ".ds_store", "__macosx"})
_LEROBOT_PARTS = frozenset({"meta", "data", "videos", "images"})


@dataclass
class FolderContents:
    """Paths relative to the folder name what is left out and what is refused."""

    recordings: list[Path] = field(default_factory=list)
    """HDF5 files, or folders of LeRobotDatasets, sorted."""
    left_out: dict[str, str] = field(default_factory=dict)
    """What is no recording of the format that was asked for, with the reason."""
    refused: dict[str, str] = field(default_factory=dict)
    """What may hold recordings and cannot be looked at, with the reason."""
    others: list[Path] = field(default_factory=list)
    """Recordings of the formats that were not asked for, sorted."""


def look_through(folder: Path, lerobot: bool) -> FolderContents:
    """The contents of `folder`: LeRobotDatasets are the recordings if `lerobot`, HDF5 files otherwise.

    Raises FileNotFoundError if `folder` is not there.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"the folder of recordings must exist, got {folder}")
    found = FolderContents()
    for path in _walk(folder, folder, found):
        dataset = path.suffix.lower() not in SUFFIXES
        (found.recordings if dataset == lerobot else found.others).append(path)
    found.recordings.sort()
    found.others.sort()
    for path in found.others:
        other = "an HDF5 file, which source_format ocrrl or robomimic reads"
        found.left_out[name_in(path, folder)] = (
            other if lerobot else "a LeRobotDataset, which source_format lerobot reads"
        )
    return found


def name_in(path: Path, folder: Path) -> str:
    """What `path` in `folder` is called in reports; the folder itself has its own name."""
    return folder.name if path == folder else path.relative_to(folder).as_posix()


def _walk(here: Path, folder: Path, found: FolderContents) -> Iterator[Path]:
    """The HDF5 files and LeRobotDatasets in `here` and below."""
    waiting = [(here, False)]
    while waiting:
        here, within_dataset = waiting.pop()
        name = name_in(here, folder)
        try:
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError as error:
            found.refused[name] = f"path must be a folder that can be read, got {error.strerror or error}"
            continue
        dataset = _is_lerobot(here)
        if dataset:
            yield here
        within_dataset = within_dataset or dataset  # what else lies there is the dataset's
        if not entries and here != folder and not within_dataset:
            found.left_out[name] = "an empty folder"
        for entry in entries:
            path = here / entry.name
            if (dataset and entry.name in _LEROBOT_PARTS) or entry.name.lower() in _HOUSEKEEPING:
                continue
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".") and path.suffix != ".zarr":
                waiting.append((path, within_dataset))
            elif _is_recording(entry, path):
                yield path
            elif not within_dataset and (reason := _why_not(entry, path, folder, found)):
                found.left_out[name_in(path, folder)] = reason


def _is_lerobot(folder: Path) -> bool:
    """Whether `folder` is a LeRobotDataset, or what is left of one."""
    info = folder / "meta/info.json"
    if info.is_symlink() or info.exists():
        return True
    return (folder / "meta").is_dir() and any((folder / part).exists() for part in _LEROBOT_PARTS - {"meta"})


def _is_recording(entry: os.DirEntry, path: Path) -> bool:
    """A file, or a link, of the suffix; where the link leads is looked at by who reads it."""
    if path.suffix.lower() not in SUFFIXES or entry.name.startswith("."):
        return False
    return entry.is_symlink() or not entry.is_dir()


def _why_not(entry: os.DirEntry, path: Path, folder: Path, found: FolderContents) -> str | None:
    """Why `entry` is no recording; None for papers, or where it has been refused."""
    suffix = path.suffix.lower()
    if entry.is_symlink() and path.is_dir():
        outside = "" if path.resolve().is_relative_to(folder.resolve()) else " to a place outside it"
        found.refused[name_in(path, folder)] = (
            f"path must be a folder in {folder.name} itself, got a link{outside}; links to folders are not followed"
        )
        return None
    if entry.name.startswith("."):
        what = KINDS.get(suffix, "hidden") if suffix == ".partial" else "hidden"
        return f"{what}: its name begins with a point"
    try:
        mode = entry.stat().st_mode
    except OSError:
        return "nothing that can be read"
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        return "a pipe, socket or device"
    if suffix in KINDS:
        return f"{KINDS[suffix]}, which ingest does not read"
    return None if suffix in PAPERS else "no recording: ingest reads .h5, .hdf5 and LeRobotDatasets"


def distinct_names(originals: Sequence[str]) -> list[str]:
    """A file name's stem for each of `originals` (relative paths or titles, each given once), in their order.

    `/` becomes `__`, and what is not a letter, digit, `_`, `.` or `-` of ASCII becomes `_`. Where two come out equal,
    those that were changed get a hash of their original, so that a name does not depend on the others' order; so does
    one that is too long. Raises ValueError for an original that is given twice.
    """
    if doubled := [original for original, times in Counter(originals).items() if times > 1]:
        raise ValueError(f"originals must be given once each, got {', '.join(map(repr, doubled))} twice")
    clean = [_clean(original) for original in originals]
    times = Counter(clean)
    names = [
        name if name == original or times[name] == 1 else _hashed(name, original)
        for original, name in zip(originals, clean, strict=True)
    ]
    times = Counter(names)  # an original may itself look like another's name with its hash
    return [
        name if times[name] == 1 else _hashed(name, original) for original, name in zip(originals, names, strict=True)
    ]


def _clean(original: str) -> str:
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", original.replace("/", "__"))
    return name if len(name) <= _LONGEST else _hashed(name[:_LONGEST], original)


def _hashed(name: str, original: str) -> str:
    return f"{name}-{hashlib.sha256(original.encode('utf-8', 'surrogateescape')).hexdigest()[:_DIGITS]}"
