"""What two files hold, compared value by value where their bytes differ: arrays, tables, decoded frames, text."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml
from safetensors import SafetensorError, safe_open

from ocrrl.interface.renamed import RENAMED
from ocrrl.lineage.reading.places import new_place

CONFIDENCE = "object_confidence"
RENAMED_KEYS: dict[str, Mapping[str, str | None]] = {
    "metrics/replay": {"kept": None},
    "residual": RENAMED["train_residual"],
}
"""By kind of artifact, the old name of a key, a tensor or an array and its new one; None where it is no longer written."""
FORMAT_VERSION = "format_version"
"""May differ where keys have other names."""
RELEASE = "ocrrl"
"""Key of this software's own version among those that an episode was recorded with: it differs between releases."""

_PATH = re.compile(r"\bdata/[\w./-]+")


@dataclass(frozen=True)
class Renamed:
    """What may be called otherwise in the newer file."""

    keys: Mapping[str, str | None]
    hashes: Mapping[str, str]
    """The SHA-256 of an older file to that of the newer one in its place."""
    confidence: bool = False
    """Whether the recorded confidence of object poses may differ: the tracker's own, no longer the gate's."""

    def text(self, text: str) -> str:
        """`text` with its paths and hashes as the newer code writes them."""
        text = _PATH.sub(lambda found: new_place(PurePosixPath(found[0])).as_posix(), text)
        return self.hashes.get(text, text)


def content_differences(before: Path, after: Path, renamed: Renamed) -> Iterator[str]:
    """Where the contents of two files, or Zarr folders, differ; the whole file for a format that is not looked into."""
    read = _READERS.get(before.suffix)
    if read is None:
        yield "bytes differ"
        return
    try:
        contents = read(before), read(after)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        yield f"cannot be read: {error}"
    else:
        yield from _differences(*contents, renamed, "")


def _differences(before: Any, after: Any, renamed: Renamed, place: str) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _of_dicts(before, after, renamed, place)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, pair in enumerate(zip(before, after, strict=True)):
            yield from _differences(*pair, renamed, f"{place}[{index}]")
    elif isinstance(before, np.ndarray) and isinstance(after, np.ndarray):
        if (before.dtype, before.shape) != (after.dtype, after.shape):
            yield f"{place}: {before.dtype} {before.shape} and {after.dtype} {after.shape}"
        elif before.tobytes() != after.tobytes():
            yield f"{place}: values"
    elif isinstance(before, str) and isinstance(after, str):
        if renamed.text(before) != renamed.text(after):
            yield f"{place}: {before[:80]!r} and {after[:80]!r}"
    elif type(before) is not type(after) or repr(before) != repr(after):
        yield f"{place}: {str(before)[:80]} and {str(after)[:80]}"


def _of_dicts(before: dict, after: dict, renamed: Renamed, place: str) -> Iterator[str]:
    left = set(after)
    for key, value in before.items():
        name = key if key in after else renamed.keys.get(key, key)
        if name is None:
            continue
        here = f"{place}/{name}"
        if name not in after:
            yield f"{here}: missing"
            continue
        left.discard(name)
        if name == RELEASE or (name == FORMAT_VERSION and renamed.keys):
            continue
        if not (renamed.confidence and name == CONFIDENCE and np.shape(value) == np.shape(after[name])):
            yield from _differences(value, after[name], renamed, here)
    for name in sorted(map(str, left)):
        yield f"{place}/{name}: new"


def _safetensors(path: Path) -> dict[str, Any]:
    import torch

    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = {name: _parsed(text) for name, text in (file.metadata() or {}).items()}
    bits = {name: tensor.contiguous().reshape(-1).view(torch.uint8).numpy() for name, tensor in tensors.items()}
    kinds = {name: f"{tensor.dtype} {tuple(tensor.shape)}" for name, tensor in tensors.items()}
    return {"metadata": metadata, "shapes": kinds, "tensors": bits}


def _hdf5(path: Path) -> dict[str, Any]:
    import h5py

    content: dict[str, Any] = {}

    def add(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            content[name] = _parsed(np.asarray(item[()]))
        for key, value in item.attrs.items():
            content[f"{name}@{key}"] = _parsed(value)

    with h5py.File(path) as file:
        add("", file)
        file.visititems(add)
    return content


def _parquet(path: Path) -> dict[str, Any]:
    from pyarrow.parquet import read_table

    table = read_table(path)
    return {
        "columns": {field.name: str(field.type) for field in table.schema},
        "metadata": {key.decode(): _parsed(value.decode()) for key, value in (table.schema.metadata or {}).items()},
        "values": {name: table.column(name).to_pylist() for name in table.column_names},
    }


def _video(path: Path) -> dict[str, Any]:
    import av

    with av.open(str(path)) as file:
        frames = [(frame.pts, frame.to_ndarray(format="rgb24")) for frame in file.decode(video=0)]
    return {"times": [time for time, _ in frames], "frames": [frame for _, frame in frames]}


def _zarr(path: Path) -> dict[str, Any]:
    import zarr

    group = zarr.open_group(str(path), mode="r")
    arrays = {
        name: np.asarray(item[...]) for name, item in group.members(max_depth=None) if isinstance(item, zarr.Array)
    }
    return {"attributes": dict(group.attrs), "arrays": arrays}


def _npz(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _image(path: Path) -> dict[str, Any]:
    from PIL import Image

    with Image.open(path) as image:
        return {"pixels": np.asarray(image.convert("RGBA"))}


def _lines(path: Path) -> list[Any]:
    return [_parsed(line) for line in path.read_text().splitlines()]


def _parsed(value: Any) -> Any:
    """A value as plain Python or an array of numbers, JSON read where it is JSON."""
    if isinstance(value, np.ndarray) and value.dtype == object:
        return value.tolist()
    if isinstance(value, np.generic):
        value = value.item()
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


_READERS: dict[str, Callable[[Path], Any]] = {
    ".safetensors": _safetensors,
    ".h5": _hdf5,
    ".parquet": _parquet,
    ".mp4": _video,
    ".zarr": _zarr,
    ".npz": _npz,
    ".png": _image,
    ".json": lambda path: json.loads(path.read_text()),
    ".yaml": lambda path: yaml.safe_load(path.read_text()),
    ".jsonl": _lines,
    ".md": _lines,
    ".txt": _lines,
}
