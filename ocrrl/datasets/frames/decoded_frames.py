"""A LeRobotDataset v3 for training: numbers in memory, each video frame decoded once, in memory or on disk.

Legend: F frames of all episodes in order, E episodes, S numbers of state, A of action.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Int

from ocrrl.datasets.frames.cache import cached_frames
from ocrrl.datasets.frames.decoding import DatasetFrames
from ocrrl.datasets.frames.frame_rows import ChosenFrames, Frames, JoinedFrames
from ocrrl.datasets.sidecar import WHOLE_CHUNK, read_sidecar

_BOOKKEEPING = ("timestamp", "frame_index", "episode_index", "index", "task_index")


@dataclass
class DecodedDataset:
    """The frames of a dataset, those of one episode together and in order."""

    images: Mapping[str, Frames]
    """RGB (F, H, W, 3) uint8 by camera name: arrays, or frames that are read from disk when they are asked for."""
    state: Float[np.ndarray, "F S"]
    action: Float[np.ndarray, "F A"]
    episode_index: Int[np.ndarray, " F"]
    """0..E-1."""
    tasks: tuple[str, ...]
    """The instruction of each episode."""
    fps: float
    timestamp: Float[np.ndarray, " F"]
    """Seconds from the episode's start."""
    names: dict[str, list[str]] = field(default_factory=dict)
    """The names of each feature's numbers, where the dataset gives them."""
    columns: dict[str, Float[np.ndarray, "F d"]] = field(default_factory=dict)
    """Every other numeric feature."""
    weight: Float[np.ndarray, " F"] | None = None
    """How often a frame is trained on, relative to the others; None: all alike."""
    chunk_steps: Int[np.ndarray, " F"] | None = None
    """How many actions of the chunk that begins with a frame are trained on (`sidecar.chunk_steps`); None: all."""

    def rows_of(self, episode: int) -> slice:
        """Where the frames of `episode` are."""
        start, stop = np.searchsorted(self.episode_index, [episode, episode + 1])
        return slice(int(start), int(stop))


def decode_dataset(root: Path, episodes: Sequence[int] | None = None, cache: Path | None = None) -> DecodedDataset:
    """Read the LeRobotDataset v3 at `root`, ours or a user's, without LeRobot (11 CPU-s to import).

    `episodes` reads those only, renumbered from 0 in the dataset's order: a few of a dataset that memory cannot hold. Frames
    are arrays in memory; with `cache` they are decoded to that folder, unless an earlier call has done so, and read from it.
    Raises ValueError for another format version, for features without `observation.state` and `action`, and for a video
    that holds fewer frames than its episodes; RuntimeError where the disk is too small for the cache.
    """
    numbers, frames = _read(root, episodes)
    return replace(
        numbers, images=_in_memory(frames) if cache is None else cached_frames(root, episodes, frames, cache)
    )


def read_numbers(root: Path) -> DecodedDataset:
    """The LeRobotDataset v3 at `root` without its images; ValueError as `decode_dataset`."""
    return _read(root, None)[0]


def _read(root: Path, episodes: Sequence[int] | None) -> tuple[DecodedDataset, DatasetFrames]:
    info = _read_info(root)
    features = info["features"]
    listed = _read_tables(root / "meta/episodes").sort_by("episode_index")
    images = [key for key, feature in features.items() if feature["dtype"] == "image"]
    data = _read_tables(root / "data", images).sort_by("index")
    if episodes is not None:
        chosen = [np.isin(table["episode_index"].to_numpy(), list(episodes)) for table in (listed, data)]
        listed, data = (table.filter(pa.array(rows)) for table, rows in zip((listed, data), chosen, strict=True))
    numeric = [
        key
        for key, feature in features.items()
        if key in data.column_names
        and key not in _BOOKKEEPING
        and feature["dtype"].startswith(("float", "int", "bool"))
    ]
    columns = {key: _numbers(data[key]) for key in numeric}
    frames = DatasetFrames(root, info, data["index"].to_numpy(), listed)
    numbers = DecodedDataset(
        images={},
        state=columns.pop("observation.state"),
        action=columns.pop("action"),
        episode_index=np.searchsorted(listed["episode_index"].to_numpy(), data["episode_index"].to_numpy()),
        tasks=tuple(tasks[0] for tasks in listed["tasks"].to_pylist()),
        fps=info["fps"],
        timestamp=data["timestamp"].to_numpy(),
        names={key: list(features[key]["names"]) for key in numeric if isinstance(features[key].get("names"), list)},
        columns=columns,
    )
    return numbers, frames


def select_episodes(dataset: DecodedDataset, root: Path, sources: Sequence[str]) -> DecodedDataset:
    """The episodes of `dataset`, read from `root`, whose sidecar names one of `sources`, in the dataset's order.

    So the real side of a pair keeps the episodes that replay kept. Raises ValueError naming sources that `root` lacks.
    """
    present = [entry.source for entry in read_sidecar(root)]
    missing = sorted(set(sources) - set(present))
    if missing:
        raise ValueError(f"{root} must hold the episodes {', '.join(missing)}, got {', '.join(present)}")
    return keep_episodes(dataset, [number for number, source in enumerate(present) if source in set(sources)])


def keep_episodes(dataset: DecodedDataset, episodes: Sequence[int]) -> DecodedDataset:
    """The episodes with the numbers `episodes`, renumbered from 0 in the dataset's order."""
    kept = np.array(sorted(episodes), dtype=dataset.episode_index.dtype)
    rows = np.isin(dataset.episode_index, kept)
    return replace(
        dataset,
        images={camera: ChosenFrames(frames, np.flatnonzero(rows)) for camera, frames in dataset.images.items()},
        state=dataset.state[rows],
        action=dataset.action[rows],
        episode_index=np.searchsorted(kept, dataset.episode_index[rows]),
        tasks=tuple(dataset.tasks[number] for number in kept),
        timestamp=dataset.timestamp[rows],
        columns={key: values[rows] for key, values in dataset.columns.items()},
        weight=None if dataset.weight is None else dataset.weight[rows],
        chunk_steps=None if dataset.chunk_steps is None else dataset.chunk_steps[rows],
    )


def join_datasets(parts: Sequence[DecodedDataset]) -> DecodedDataset:
    """The episodes of all `parts`, numbered on; features that not all of them have are left out.

    Raises ValueError where cameras, image sizes or frame rates differ.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    for part in parts[1:]:
        shapes = [{camera: frames.shape[1:] for camera, frames in each.images.items()} for each in (first, part)]
        if shapes[0] != shapes[1] or part.fps != first.fps:
            raise ValueError(
                f"datasets must agree in cameras, image sizes and frames per second, "
                f"got {shapes[0]} at {first.fps} and {shapes[1]} at {part.fps}"
            )
    before = np.cumsum([0, *(len(part.tasks) for part in parts)])
    shared = [key for key in first.columns if all(key in part.columns for part in parts)]
    return DecodedDataset(
        images={camera: JoinedFrames([part.images[camera] for part in parts]) for camera in first.images},
        state=np.concatenate([part.state for part in parts]),
        action=np.concatenate([part.action for part in parts]),
        episode_index=np.concatenate([part.episode_index + n for part, n in zip(parts, before, strict=False)]),
        tasks=tuple(task for part in parts for task in part.tasks),
        fps=first.fps,
        timestamp=np.concatenate([part.timestamp for part in parts]),
        names=first.names,
        columns={
            key: np.concatenate([part.columns[key] for part in parts])
            for key in shared
            if len({part.columns[key].shape[1:] for part in parts}) == 1
        },
        weight=None
        if all(part.weight is None for part in parts)
        else np.concatenate([_weight(part) for part in parts]),
        chunk_steps=None
        if all(part.chunk_steps is None for part in parts)
        else np.concatenate([_chunk_steps(part) for part in parts]),
    )


def _weight(dataset: DecodedDataset) -> Float[np.ndarray, " F"]:
    return np.ones(len(dataset.action)) if dataset.weight is None else dataset.weight


def _chunk_steps(dataset: DecodedDataset) -> Int[np.ndarray, " F"]:
    return np.full(len(dataset.action), WHOLE_CHUNK) if dataset.chunk_steps is None else dataset.chunk_steps


def _read_info(root: Path) -> dict:
    info = json.loads((root / "meta/info.json").read_text())
    if not str(info["codebase_version"]).startswith("v3."):
        raise ValueError(f"{root}: codebase_version must be v3.*, got {info['codebase_version']}")
    for key in ("observation.state", "action"):
        if key not in info["features"]:
            raise ValueError(f"{root}: features must include {key}, got {', '.join(sorted(info['features']))}")
    return info


def _read_tables(folder: Path, left_out: Sequence[str] = ()) -> pa.Table:
    """The tables of all files below `folder` as one, without the columns `left_out`."""
    tables = []
    for path in sorted(folder.glob("*/*.parquet")):
        columns = [name for name in pq.read_schema(path).names if name not in left_out] if left_out else None
        tables.append(pq.read_table(path, columns=columns))
    return pa.concat_tables(tables, promote_options="default")


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    flat = column.combine_chunks()
    rows = len(flat)
    while isinstance(flat.type, pa.ListType | pa.LargeListType | pa.FixedSizeListType):
        flat = flat.flatten()
    return flat.to_numpy(zero_copy_only=False).reshape(rows, -1)


def _in_memory(frames: DatasetFrames) -> dict[str, Frames]:
    images = {}
    for camera in frames.cameras:
        images[camera] = np.zeros(frames.shape(camera), np.uint8)
        for row, frame in frames.decode(camera):
            images[camera][row] = frame
    return images
