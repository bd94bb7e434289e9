"""A whole LeRobotDataset v3 in memory, every frame decoded exactly once.

Legend: F frames of all episodes in order, E episodes, S numbers of state, A of action.
"""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Int, UInt8

from ocrrl.datasets.sidecar import read_sidecar
from ocrrl.datasets.video_file import decode_video

IMAGE_PREFIX = "observation.images."
_BOOKKEEPING = ("timestamp", "frame_index", "episode_index", "index", "task_index")


@dataclass
class DecodedDataset:
    """The frames of a dataset, those of one episode together and in order."""

    images: dict[str, UInt8[np.ndarray, "F H W 3"]]
    """RGB by camera name."""
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

    def rows_of(self, episode: int) -> slice:
        """Where the frames of `episode` are."""
        start, stop = np.searchsorted(self.episode_index, [episode, episode + 1])
        return slice(int(start), int(stop))


def decode_dataset(root: Path, episodes: Sequence[int] | None = None) -> DecodedDataset:
    """Read the LeRobotDataset v3 at `root`, ours or a user's, without LeRobot (11 CPU-s to import).

    `episodes` reads those only, renumbered from 0 in the dataset's order: a few of a dataset that memory cannot hold.
    Raises ValueError for another format version, for features without `observation.state` and `action`, and for a video
    that holds fewer frames than its episodes.
    """
    info = _read_info(root)
    features = info["features"]
    listed = _read_tables(root / "meta/episodes").sort_by("episode_index")
    data = _read_tables(root / "data").sort_by("index")
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
    return DecodedDataset(
        images=_decode_images(root, info, data, listed),
        state=columns.pop("observation.state"),
        action=columns.pop("action"),
        episode_index=np.searchsorted(listed["episode_index"].to_numpy(), data["episode_index"].to_numpy()),
        tasks=tuple(tasks[0] for tasks in listed["tasks"].to_pylist()),
        fps=info["fps"],
        timestamp=data["timestamp"].to_numpy(),
        names={key: list(features[key]["names"]) for key in numeric if isinstance(features[key].get("names"), list)},
        columns=columns,
    )


def count_episodes(root: Path) -> int:
    """How many episodes the LeRobotDataset v3 at `root` lists; ValueError as for `decode_dataset`."""
    _read_info(root)
    return _read_tables(root / "meta/episodes").num_rows


def select_episodes(dataset: DecodedDataset, root: Path, sources: Sequence[str]) -> DecodedDataset:
    """The episodes of `dataset`, read from `root`, whose sidecar names one of `sources`, in the dataset's order.

    So the real side of a pair keeps the episodes that replay kept. Raises ValueError naming sources that `root` lacks.
    """
    present = [entry.source for entry in read_sidecar(root)]
    missing = sorted(set(sources) - set(present))
    if missing:
        raise ValueError(f"{root.name} must hold the episodes {', '.join(missing)}, got {', '.join(present)}")
    return keep_episodes(dataset, [number for number, source in enumerate(present) if source in set(sources)])


def keep_episodes(dataset: DecodedDataset, episodes: Sequence[int]) -> DecodedDataset:
    """The episodes with the numbers `episodes`, renumbered from 0 in the dataset's order."""
    kept = np.array(sorted(episodes), dtype=dataset.episode_index.dtype)
    rows = np.isin(dataset.episode_index, kept)
    return DecodedDataset(
        images={camera: frames[rows] for camera, frames in dataset.images.items()},
        state=dataset.state[rows],
        action=dataset.action[rows],
        episode_index=np.searchsorted(kept, dataset.episode_index[rows]),
        tasks=tuple(dataset.tasks[number] for number in kept),
        fps=dataset.fps,
        timestamp=dataset.timestamp[rows],
        names=dataset.names,
        columns={key: values[rows] for key, values in dataset.columns.items()},
    )


def join_datasets(parts: Sequence[DecodedDataset]) -> DecodedDataset:
    """The episodes of all `parts`, numbered on; features that not all of them have are left out.

    Raises ValueError where cameras, picture sizes or frame rates differ.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    for part in parts[1:]:
        shapes = [{camera: frames.shape[1:] for camera, frames in each.images.items()} for each in (first, part)]
        if shapes[0] != shapes[1] or part.fps != first.fps:
            raise ValueError(
                f"datasets must agree in cameras, picture sizes and frames per second, "
                f"got {shapes[0]} at {first.fps} and {shapes[1]} at {part.fps}"
            )
    before = np.cumsum([0, *(len(part.tasks) for part in parts)])
    shared = [key for key in first.columns if all(key in part.columns for part in parts)]
    return DecodedDataset(
        images={camera: np.concatenate([part.images[camera] for part in parts]) for camera in first.images},
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
    )


def _read_info(root: Path) -> dict:
    info = json.loads((root / "meta/info.json").read_text())
    if not str(info["codebase_version"]).startswith("v3."):
        raise ValueError(f"{root.name}: codebase_version must be v3.*, got {info['codebase_version']}")
    for key in ("observation.state", "action"):
        if key not in info["features"]:
            raise ValueError(f"{root.name}: features must include {key}, got {', '.join(sorted(info['features']))}")
    return info


def _read_tables(folder: Path) -> pa.Table:
    return pa.concat_tables(
        [pq.read_table(path) for path in sorted(folder.glob("*/*.parquet"))], promote_options="default"
    )


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    flat = column.combine_chunks()
    rows = len(flat)
    while isinstance(flat.type, pa.ListType | pa.LargeListType | pa.FixedSizeListType):
        flat = flat.flatten()
    return flat.to_numpy(zero_copy_only=False).reshape(rows, -1)


def _decode_images(root: Path, info: dict, data: pa.Table, episodes: pa.Table) -> dict[str, np.ndarray]:
    images = {}
    for key, feature in info["features"].items():
        if feature["dtype"] == "image":
            images[key.removeprefix(IMAGE_PREFIX)] = _decode_stored_images(data[key])
        elif feature["dtype"] == "video" and not (feature.get("info") or {}).get("is_depth_map"):
            images[key.removeprefix(IMAGE_PREFIX)] = _decode_videos(root, info, key, data["index"].to_numpy(), episodes)
    return images


def _decode_videos(root: Path, info: dict, key: str, index: np.ndarray, episodes: pa.Table) -> np.ndarray:
    fps = info["fps"]
    rows_in_file: dict[Path, dict[int, int]] = {}
    columns = (
        "dataset_from_index",
        "length",
        *(f"videos/{key}/{n}" for n in ("chunk_index", "file_index", "from_timestamp")),
    )
    for start, length, chunk, file, begin in zip(*(episodes[name].to_pylist() for name in columns), strict=True):
        name = Path(info["video_path"].format(video_key=key, chunk_index=chunk, file_index=file))
        if name.is_absolute() or ".." in name.parts:
            raise ValueError(f"{root.name}: video_path must stay inside the dataset, got {name}")
        first, row = round(begin * fps), int(np.searchsorted(index, start))
        rows_in_file.setdefault(root / name, {}).update({first + k: row + k for k in range(length)})
    height, width = info["features"][key]["shape"][:2]
    images, filled = np.zeros((len(index), height, width, 3), np.uint8), np.zeros(len(index), bool)
    for path, rows in rows_in_file.items():
        for number, frame in decode_video(path, fps, range(min(rows), max(rows) + 1)):
            if number in rows:
                images[rows[number]], filled[rows[number]] = frame, True
    if not filled.all():
        raise ValueError(f"{root.name}: {key} must hold {len(index)} frames, got {filled.sum()}")
    return images


def _decode_stored_images(column: pa.ChunkedArray) -> np.ndarray:
    from PIL import Image

    return np.stack([np.asarray(Image.open(io.BytesIO(cell["bytes"])).convert("RGB")) for cell in column.to_pylist()])
