"""meta/ocrrl.json of an export: what it was made from, and the hash of every file that it was made of.

A trainer adds files of its own (indices, statistics); what was exported must still be as it was where a model is said to come
from it. Hashes are DVC's: MD5 of a file; of a folder the MD5 of its list of files, with `.dir` at the end.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ocrrl import files
from ocrrl.interface.json_file import read_json_object, said

ORIGIN = "meta/ocrrl.json"
FORMAT_VERSION = 1
REMEDY = "export the dataset again with `ocrrl export`, or fetch the folder as it was"


@dataclass(frozen=True)
class Origin:
    """Where an export came from."""

    source: str
    """Path of the dataset, relative to the project where it lies in one."""
    source_hash: str
    content_hash: str
    """Over the exported files, without meta/ocrrl.json."""
    files: Mapping[str, str]
    """MD5 of each exported file by its path."""
    episodes: list[dict[str, Any]]
    """The source's sidecar entries of the exported episodes, in their order; empty for a dataset without a sidecar."""
    form: Mapping[str, Any]
    """The action form that was declared."""
    lossless: bool
    version: str
    """Of ocrrl."""


def write_origin(folder: Path, origin: Origin) -> None:
    """Write meta/ocrrl.json of the export in `folder`."""
    files.write_json(folder / ORIGIN, {"format_version": FORMAT_VERSION, **asdict(origin)})


def read_origin(folder: Path) -> Origin:
    """meta/ocrrl.json of the export in `folder`; FileNotFoundError or ValueError naming what is missing or wrong."""
    path = folder / ORIGIN
    content = read_json_object(path, remedy=REMEDY)
    if content.pop("format_version", None) != FORMAT_VERSION:
        raise ValueError(f"{path}: format_version must be {FORMAT_VERSION}, of an export by this version; {REMEDY}")
    kinds = {"source": str, "source_hash": str, "content_hash": str, "files": dict, "episodes": list, "form": dict}
    kinds |= {"lossless": bool, "version": str}
    for name, kind in kinds.items():
        if not isinstance(content.get(name), kind):
            raise ValueError(f"{path}: {name} must be there, got {said(content.get(name))}; {REMEDY}")
    return Origin(**{name: content[name] for name in kinds})
