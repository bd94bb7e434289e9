"""Writes episodes as a LeRobotDataset v3, with a sidecar for what LeRobot cannot store.

The layout is LeRobot 0.6's: `meta/info.json`, `meta/stats.json`, `meta/tasks.parquet`, `meta/episodes/`, `data/`,
`videos/`. It is written here and not by `LeRobotDataset.create`, which takes 11 CPU-s to import and 3.5 ms a frame, and
whose `stats.json` is in another order in every process. A test has LeRobot read it, and holds it to what LeRobot itself
writes.
"""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ocrrl import files
from ocrrl.datasets import video_file
from ocrrl.datasets.feature_statistics import Statistics, image_statistics, intensity_histogram, row_statistics
from ocrrl.datasets.sidecar import SidecarEpisode, describe_source, privileged_rows, write_sidecar
from ocrrl.interface.actions import ACTION_DIM, ACTION_NAMES, CONTROL_HZ
from ocrrl.interface.episode import Episode
from ocrrl.interface.lerobot_keys import ACTION_KEY, IMAGE_PREFIX, STATE_KEY
from ocrrl.interface.observations import PROPRIOCEPTION_DIM, PROPRIOCEPTION_NAMES

CODEBASE_VERSION = "v3.0"
ROBOT_TYPE = "fr3"
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES_PATH = "meta/episodes/chunk-000/file-000.parquet"
_PIXELS_A_FILE = 10_000_000_000  # then the next video file begins; some 200 MB
_BOOKKEEPING = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}


def write_lerobot_dataset(
    episodes: Iterable[tuple[str, Episode]], out: Path, described: dict[str, SidecarEpisode] | None = None
) -> int:
    """Write `episodes`, pairs of source name and episode, as a LeRobotDataset v3 at `out`; returns how many.

    `described` gives the sidecar's entry by source name where it says more than the episode does (its kind, its hash).
    Features are `observation.images.<camera>`, `observation.state` (8, `Observation.proprioception`) and `action` (7),
    nothing else: every `observation*` key is fed to a VLA. An episode's labels, where it has some, are its `action`. The
    dataset is built beside `out` and appears whole, replacing what was there. Raises ValueError if there is no episode, or
    if one's cameras differ from the first one's.
    """
    work = files.fresh_folder(out.with_name(f".{out.name}.partial"))
    dataset = None
    try:
        for source, episode in episodes:
            dataset = dataset or _DatasetInProgress(work, image_shapes(episode))
            dataset.add(source, episode, (described or {}).get(source) or describe_source(source, episode))
        if dataset is None:
            raise ValueError(f"{out} must hold at least one episode, got none")
        dataset.finish()
    except BaseException:
        if dataset is not None:
            dataset.abandon()
        shutil.rmtree(work)
        raise
    files.publish(work, out)
    return len(dataset.sources)


def image_shapes(episode: Episode) -> dict[str, tuple[int, int, int]]:
    """(H, W, 3) of each camera, by name."""
    return {camera: episode.images[camera].shape[1:] for camera in sorted(episode.images)}


class _DatasetInProgress:
    def __init__(self, root: Path, shapes: dict[str, tuple[int, int, int]]) -> None:
        self.root, self.shapes = root, shapes
        self.sources: list[SidecarEpisode] = []
        self._privileged: list[dict[str, np.ndarray]] = []
        self._rows: dict[str, list[np.ndarray]] = {name: [] for name in (STATE_KEY, ACTION_KEY, *_BOOKKEEPING)}
        self._episodes: list[dict] = []
        self._tasks: dict[str, int] = {}
        self._frames = 0
        self._file_index, self._frames_in_file = 0, 0
        self._videos: dict[str, video_file.VideoWriter] = {}
        self._histograms = {camera: np.zeros((3, 256), np.int64) for camera in shapes}

    def add(self, source: str, episode: Episode, described: SidecarEpisode) -> None:
        if image_shapes(episode) != self.shapes:
            raise ValueError(
                f"{source}: images must be {self.shapes} like the first episode's, got {image_shapes(episode)}"
            )
        number, length = len(self._episodes), len(episode)
        task = self._tasks.setdefault(episode.attributes.instruction, len(self._tasks))
        rows = {
            STATE_KEY: episode.observation().proprioception(),
            ACTION_KEY: (episode.action if episode.label is None else episode.label).astype(np.float32),
            "timestamp": (np.arange(length) / CONTROL_HZ).astype(np.float32),
            "frame_index": np.arange(length),
            "episode_index": np.full(length, number),
            "index": np.arange(self._frames, self._frames + length),
            "task_index": np.full(length, task),
        }
        for name, values in rows.items():
            self._rows[name].append(values)
        entry = {
            "episode_index": number,
            "tasks": [episode.attributes.instruction],
            "length": length,
            "data/chunk_index": 0,
            "data/file_index": 0,
            "dataset_from_index": self._frames,
            "dataset_to_index": self._frames + length,
        }
        entry |= self._add_video(episode)
        for name, values in rows.items():
            entry |= _flat_statistics(name, row_statistics(values.reshape(length, -1)))
        self._episodes.append(entry | {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0})
        self._frames += length
        self.sources.append(described)
        self._privileged.append(privileged_rows(episode))

    def _add_video(self, episode: Episode) -> dict:
        length = len(episode)
        largest = max((height * width for height, width, _ in self.shapes.values()), default=1)
        if self._frames_in_file and (self._frames_in_file + length) * largest > _PIXELS_A_FILE:
            self._close_videos()
            self._file_index, self._frames_in_file = self._file_index + 1, 0
        entry = {}
        for camera, (height, width, _) in self.shapes.items():
            key = IMAGE_PREFIX + camera
            if camera not in self._videos:
                path = VIDEO_PATH.format(video_key=key, chunk_index=0, file_index=self._file_index)
                self._videos[camera] = video_file.VideoWriter(self.root / path, CONTROL_HZ, height, width)
            self._videos[camera].append(episode.images[camera])
            histogram = intensity_histogram(episode.images[camera])
            self._histograms[camera] += histogram
            entry |= {
                f"videos/{key}/chunk_index": 0,
                f"videos/{key}/file_index": self._file_index,
                f"videos/{key}/from_timestamp": self._frames_in_file / CONTROL_HZ,
                f"videos/{key}/to_timestamp": (self._frames_in_file + length) / CONTROL_HZ,
            }
            entry |= _flat_statistics(key, image_statistics(histogram, length))
        self._frames_in_file += length
        return entry

    def _close_videos(self) -> None:
        for video in self._videos.values():
            video.close()
        self._videos = {}

    def abandon(self) -> None:
        for video in self._videos.values():
            video.abandon()

    def finish(self) -> None:
        self._close_videos()
        rows = {name: np.concatenate(values) for name, values in self._rows.items()}
        _write_table(
            pa.table({name: _column(values) for name, values in rows.items()}),
            self.root / DATA_PATH.format(chunk_index=0, file_index=0),
        )
        _write_table(pa.Table.from_pylist(self._episodes), self.root / EPISODES_PATH)
        _write_table(_tasks_table(self._tasks), self.root / "meta/tasks.parquet")
        statistics = {
            IMAGE_PREFIX + camera: image_statistics(histogram, self._frames)
            for camera, histogram in self._histograms.items()
        } | {name: row_statistics(values.reshape(self._frames, -1)) for name, values in rows.items()}
        as_lists = {key: {name: value.tolist() for name, value in entry.items()} for key, entry in statistics.items()}
        files.write_bytes(self.root / "meta/stats.json", _json(as_lists))
        files.write_bytes(self.root / "meta/info.json", _json(self._info()))
        objects = max((rows["object_poses"].shape[1] for rows in self._privileged if "object_poses" in rows), default=0)
        write_sidecar(self.root, self.sources, self._privileged, objects)

    def _info(self) -> dict:
        features = {
            IMAGE_PREFIX + camera: {
                "dtype": "video",
                "shape": list(shape),
                "names": ["height", "width", "channels"],
                "info": _video_info(shape),
            }
            for camera, shape in self.shapes.items()
        }
        features[STATE_KEY] = {"dtype": "float32", "shape": [PROPRIOCEPTION_DIM], "names": list(PROPRIOCEPTION_NAMES)}
        features[ACTION_KEY] = {"dtype": "float32", "shape": [ACTION_DIM], "names": list(ACTION_NAMES)}
        features |= {name: {"dtype": dtype, "shape": [1], "names": None} for name, dtype in _BOOKKEEPING.items()}
        return {
            "codebase_version": CODEBASE_VERSION,
            "fps": CONTROL_HZ,
            "features": features,
            "total_episodes": len(self._episodes),
            "total_frames": self._frames,
            "total_tasks": len(self._tasks),
            "chunks_size": 1000,
            "data_files_size_in_mb": 100,
            "video_files_size_in_mb": 200,
            "data_path": DATA_PATH,
            "video_path": VIDEO_PATH,
            "robot_type": ROBOT_TYPE,
            "splits": {"train": f"0:{len(self._episodes)}"},
        }


def _video_info(shape: tuple[int, int, int]) -> dict:
    height, width, channels = shape
    return {
        "video.height": height,
        "video.width": width,
        "video.codec": video_file.CODEC,
        "video.pix_fmt": video_file.PIXEL_FORMAT,
        "video.fps": CONTROL_HZ,
        "video.channels": channels,
        "has_audio": False,
        "video.g": video_file.KEYFRAME_EVERY,
        "video.crf": video_file.CONSTANT_RATE_FACTOR,
        "video.preset": video_file.PRESET,
        "video.fast_decode": 0,
        "video.video_backend": "pyav",
        "video.extra_options": {"bf": 0},
        "is_depth_map": False,
    }


def _column(values: np.ndarray) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def _flat_statistics(feature: str, statistics: Statistics) -> dict[str, list]:
    return {f"stats/{feature}/{name}": value.tolist() for name, value in statistics.items()}


def _tasks_table(tasks: dict[str, int]) -> pa.Table:
    # LeRobot reads this file with pandas and expects the instruction as its index.
    columns = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": kind, "metadata": None}
        for name, kind in (("task_index", "int64"), ("task", "unicode"))
    ]
    pandas = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"}
    table = pa.table({"task_index": pa.array(tasks.values(), pa.int64()), "task": pa.array(tasks.keys(), pa.string())})
    return table.replace_schema_metadata({"pandas": json.dumps(pandas)})


def _write_table(table: pa.Table, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="snappy")


def _json(value: dict) -> bytes:
    return (json.dumps(value, indent=4, allow_nan=False) + "\n").encode()
