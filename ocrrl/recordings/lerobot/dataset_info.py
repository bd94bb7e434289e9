"""Reads `meta/info.json` of a dataset and checks the type of each entry."""

import json
import math
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeGuard

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.recordings.lerobot.dataset_files import DatasetFiles

INFO = "meta/info.json"
IMAGE_DTYPES = ("video", "image")
_LARGEST = 64 * 2**20  # bytes of a metadata file in JSON
_DEEPEST = 4  # lists within lists of names
_FPS = (0.1, 1000.0)
_CONVERTER = "python -m lerobot.scripts.convert_dataset_v21_to_v30 --repo-id=NAME --root=FOLDER"
_OLDER = {
    "v1": "python lerobot/common/datasets/v2/convert_dataset_v1_to_v2.py, of LeRobot 0.1, then as v2.0",
    "v2.0": f"python -m lerobot.datasets.v21.convert_dataset_v20_to_v21 --repo-id=NAME, of LeRobot 0.3, or {_CONVERTER}",
}
_PATHS = {
    3: (
        "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    ),
    2: (
        "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
    ),
}
_FIELD = re.compile(r"\{([a-z_]+)(?::0?([0-9])?d)?\}")


@dataclass(frozen=True)
class Feature:
    """One of the dataset's columns or cameras."""

    key: str
    dtype: str
    shape: tuple[int, ...] | None
    """None where the dataset does not say."""
    names: list[str] | None
    """Of its numbers, in order; None where the dataset gives none, or not one for each."""
    is_depth: bool


@dataclass(frozen=True)
class PathTemplate:
    """A path such as `data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet`, to be filled with numbers and keys only."""

    name: str
    """Its key in info.json."""
    text: str

    def __post_init__(self) -> None:
        plain = _FIELD.sub("", self.text)
        if any(brace in plain for brace in "{}"):
            raise EpisodeRejected(self.name, "a path with {name} or {name:03d}", repr(self.text[:120]), INFO)

    def filled(self, **values: int | str) -> str:
        """The path with `values` in it; raises `EpisodeRejected` for an unknown name and for a path out of the dataset."""

        def value(field: re.Match) -> str:
            if field[1] not in values:
                raise EpisodeRejected(self.name, f"a path of {', '.join(values)}", f"{{{field[1]}}}", INFO)
            return str(values[field[1]]).zfill(int(field[2] or 0))

        path = _FIELD.sub(value, self.text)
        parts = PurePosixPath(path)
        if parts.is_absolute() or ".." in parts.parts or not path.isprintable():
            raise EpisodeRejected(self.name, "inside the dataset", repr(path[:120]), INFO)
        return path


@dataclass(frozen=True)
class DatasetInfo:
    """What `meta/info.json` says."""

    major: int
    """2 for v2.1, which has a file for each episode; 3 for v3.*, which has many episodes in one."""
    fps: float
    features: Mapping[str, Feature]
    """Those that were asked for."""
    keys: tuple[str, ...]
    """Of all features."""
    images: tuple[str, ...]
    """Of those with images."""
    data_path: PathTemplate
    video_path: PathTemplate
    chunks_size: int
    totals: Mapping[str, int]
    """`total_episodes` and `total_frames`, where they are given."""
    splits: Mapping[str, tuple[int, int]]
    """First and last + 1 of the episodes of each split."""


def read_info(files: DatasetFiles, keys: Collection[str]) -> DatasetInfo:
    """The dataset's description, of its features those in `keys`; raises `EpisodeRejected` for the first thing wrong."""
    info = read_json(files, INFO)
    if not isinstance(info, dict):
        raise EpisodeRejected("file", "a JSON object", _kind(info), INFO)
    major = _major(info.get("codebase_version"), files)
    features = info.get("features")
    if not isinstance(features, dict):
        raise EpisodeRejected("features", "an object of features by key", _kind(features), INFO)
    templates = [
        PathTemplate(name, _text(name, info.get(name) or default))
        for name, default in zip(("data_path", "video_path"), _PATHS[major], strict=True)
    ]
    return DatasetInfo(
        major=major,
        fps=_fps(info.get("fps")),
        features={key: _feature(key, features[key]) for key in keys if key in features},
        keys=tuple(features),
        images=tuple(
            key for key, value in features.items() if isinstance(value, dict) and value.get("dtype") in IMAGE_DTYPES
        ),
        data_path=templates[0],
        video_path=templates[1],
        chunks_size=_count("chunks_size", info.get("chunks_size", 1000), 1),
        totals={name: _count(name, info[name], 0) for name in ("total_episodes", "total_frames") if name in info},
        splits=_splits(info.get("splits")),
    )


def read_json(files: DatasetFiles, relative: str) -> object:
    """What the JSON file at `relative` holds; raises `EpisodeRejected` where it is none."""
    path = files.find(relative, "no LeRobotDataset without it")
    return parse_json(_bounded_text(path, relative), relative)


def read_json_lines(files: DatasetFiles, relative: str, cause: str) -> list[str]:
    """The lines of the file at `relative` that are not empty, each of which should be JSON."""
    path = files.find(relative, cause)
    return [line for line in _bounded_text(path, relative).splitlines() if line.strip()]


def parse_json(text: str, relative: str, where: str = "") -> object:
    """`text` as JSON; raises `EpisodeRejected` naming the file and, in it, `where`."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EpisodeRejected("file", "JSON", f"{error}{where} (cut short?)", relative) from error


def _bounded_text(path: Path, relative: str) -> str:
    if (size := path.stat().st_size) > _LARGEST:
        raise EpisodeRejected("file", f"JSON of at most {_LARGEST >> 20} MB", f"{size >> 20} MB", relative)
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise EpisodeRejected("file", "JSON in UTF-8", f"{error.reason} at byte {error.start}", relative) from error


def _major(version: object, files: DatasetFiles) -> int:
    text = version if isinstance(version, str) else ""
    if text.startswith("v3."):
        if not files.has("meta/episodes") and files.has("meta/episodes.jsonl"):
            got = f"meta/episodes.jsonl of v2.1 (half converted; again: {_CONVERTER})"
            raise EpisodeRejected("file", f"there in a dataset of {text}", got, "meta/episodes")
        return 3
    if text == "v2.1":
        if not files.has("meta/episodes.jsonl") and files.has("meta/episodes"):
            got = f"meta/episodes of v3.0 (half converted; again: {_CONVERTER})"
            raise EpisodeRejected("file", "there in a dataset of v2.1", got, "meta/episodes.jsonl")
        return 2
    older = "v1" if text.startswith("v1") else text
    hint = f" (convert it: {_OLDER[older]})" if older in _OLDER else ""
    raise EpisodeRejected("codebase_version", "v3.0 or later 3.*, or v2.1", f"{_shown(version)}{hint}", INFO)


def _fps(value: object) -> float:
    if not is_number(value) or not _FPS[0] <= float(value) <= _FPS[1]:
        required = f"a number of frames per second from {_FPS[0]:g} to {_FPS[1]:g}"
        raise EpisodeRejected("fps", required, _shown(value), INFO)
    return float(value)


def _feature(key: str, value: object) -> Feature:
    name = f"features.{key}"
    if not isinstance(value, dict):
        raise EpisodeRejected(name, "an object with dtype, shape and names", _kind(value), INFO)
    dtype, shape = value.get("dtype"), value.get("shape")
    if not isinstance(dtype, str):
        raise EpisodeRejected(f"{name}.dtype", "a text such as float32 or video", _shown(dtype), INFO)
    if shape is not None and not (
        isinstance(shape, list) and all(isinstance(n, int) and not isinstance(n, bool) and 0 < n < 2**31 for n in shape)
    ):
        raise EpisodeRejected(f"{name}.shape", "a list of whole numbers above 0", _shown(shape), INFO)
    told = [value.get(part) for part in ("info", "video_info")]
    is_depth = dtype == "depth" or any(
        isinstance(part, dict) and (part.get("is_depth_map") is True or part.get("video.is_depth_map") is True)
        for part in told
    )
    shape = None if shape is None else tuple(shape)
    names = None
    if dtype not in (*IMAGE_DTYPES, "depth"):
        names = _names(f"{name}.names", value.get("names"))
        if names is not None and shape is not None and len(names) != math.prod(shape):
            names = None
    return Feature(key, dtype, shape, names, is_depth)


def _names(field: str, value: object) -> list[str] | None:
    """One flat list of distinct names: of a list, a nested list, a dict of lists or a dict of positions."""
    if value is None:
        return None
    if (
        isinstance(value, dict)
        and value
        and all(isinstance(n, int) and not isinstance(n, bool) for n in value.values())
    ):
        return sorted(value, key=value.__getitem__) if sorted(value.values()) == list(range(len(value))) else None
    groups = value if isinstance(value, dict) else {"": value}
    named = [(group, name) for group, names in groups.items() for name in _flat(field, names)]
    times = Counter(name for _, name in named)
    flat = [f"{group}.{name}" if group and times[name] > 1 else name for group, name in named]
    times, seen = Counter(flat), Counter()
    for place, name in enumerate(flat):
        if times[name] > 1:
            seen[name] += 1
            flat[place] = f"{name}({seen[name]})"
    return flat


def _flat(field: str, names: object, depth: int = 0) -> list[str]:
    if isinstance(names, str):
        return [names]
    if not isinstance(names, list) or depth > _DEEPEST:
        raise EpisodeRejected(field, "a list of texts, lists or objects of them, or null", _shown(names), INFO)
    return [name for part in names for name in _flat(field, part, depth + 1)]


def _splits(value: object) -> dict[str, tuple[int, int]]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise EpisodeRejected("splits", 'an object such as {"train": "0:8", "val": "8:10"}', _kind(value), INFO)
    return {name: _range(f"splits.{name}", text) for name, text in value.items()}


def _range(field: str, text: object) -> tuple[int, int]:
    start, _, stop = text.partition(":") if isinstance(text, str) else ("", "", "")
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in (start, stop)):
        raise EpisodeRejected(field, "a range of episodes such as 0:8", _shown(text), INFO)
    return int(start), int(stop)


def _count(name: str, value: object, least: int) -> int:
    if not is_number(value) or float(value) != math.floor(float(value)) or not least <= value < 2**53:
        raise EpisodeRejected(name, f"a whole number from {least} on", _shown(value), INFO)
    return int(value)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise EpisodeRejected(name, "a text", _shown(value), INFO)
    return value


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether `value` of JSON is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 2**63 and math.isfinite(value)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", type(None): "null"}
    return names.get(type(value), _shown(value))


def _shown(value: object) -> str:
    try:
        text = json.dumps(value, ensure_ascii=True)
    except RecursionError:
        return "lists within lists without end"
    return text if len(text) <= 80 else f"{text[:77]}..."
