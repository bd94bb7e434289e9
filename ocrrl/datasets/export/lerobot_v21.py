"""Writes episodes as a LeRobotDataset v2.1: one parquet file an episode, one video an episode and camera.

Isaac-GR00T (N1.5 to N1.7) and openpi read v2.1 and no later one. Layout and fields are those of LeRobot 0.3.3 (its
`lerobot_dataset.py`, `datasets/utils.py`); `meta/stats.json` (Isaac-GR00T) holds state and action with `q01` and `q99`.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, UInt8

from ocrrl import files
from ocrrl.datasets.feature_statistics import Statistics, image_statistics, intensity_histogram, row_statistics
from ocrrl.datasets.lerobot_writer import ROBOT_TYPE
from ocrrl.datasets.video_file import VideoEncoding, VideoWriter
from ocrrl.interface.lerobot_keys import ACTION_KEY, IMAGE_PREFIX, STATE_KEY

CODEBASE_VERSION = "v2.1"
CHUNK = 1000
"""Episodes in one folder."""
DATA_PATH = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
VIDEO_PATH = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
INSTRUCTION_KEY = "annotation.human.action.task_description"
"""Isaac-GR00T's column of the instruction: the number of the task."""
COMMON = VideoEncoding("h264", "yuv420p", 6)
"""What every decoder reads; colour at half the resolution."""
LOSSLESS = VideoEncoding("libx264rgb", "rgb24", 0)
"""Decodes to the same bytes; software decoders read it."""
_INTEGERS = ("frame_index", "episode_index", "index", "task_index", INSTRUCTION_KEY)
_IN_EPISODE = ("min", "max", "mean", "std", "count")
_IN_DATASET = ("min", "max", "mean", "std", "q01", "q99")


@dataclass(frozen=True)
class ExportedEpisode:
    """The rows (T) of one episode, as they are to be written."""

    instruction: str
    state: Float[np.ndarray, "T s"]
    action: Float[np.ndarray, "T a"]
    images: Mapping[str, UInt8[np.ndarray, "T H W 3"]]
    """RGB by camera."""


class V21Writer:
    """A dataset in progress in the empty folder `root`; `names` gives those of the state's and the action's numbers."""

    def __init__(self, root: Path, fps: int, names: Mapping[str, Sequence[str]], encoding: VideoEncoding) -> None:
        self._root, self._fps, self._names, self._encoding = root, fps, names, encoding
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._tasks: dict[str, int] = {}
        self._episodes: list[dict] = []
        self._statistics: list[dict] = []
        self._rows: dict[str, list[np.ndarray]] = {STATE_KEY: [], ACTION_KEY: []}
        self._frames = 0

    def add(self, episode: ExportedEpisode, what: str) -> None:
        """Write one more episode; ValueError naming `what` for pictures that are not of one size throughout the dataset."""
        shapes = {camera: frames.shape[1:] for camera, frames in sorted(episode.images.items())}
        require_one_size(shapes, what)
        if self._shapes and shapes != self._shapes:
            raise ValueError(
                f"{what}: pictures must be {_said(self._shapes)} as in the first episode, got {_said(shapes)}; {REMEDY}"
            )
        self._shapes = shapes
        number, length = len(self._episodes), len(episode.action)
        task = self._tasks.setdefault(episode.instruction, len(self._tasks))
        rows = {STATE_KEY: episode.state.astype(np.float32), ACTION_KEY: episode.action.astype(np.float32)}
        for name, values in rows.items():
            self._rows[name].append(values)
        rows |= {
            "timestamp": (np.arange(length) / self._fps).astype(np.float32),
            "frame_index": np.arange(length),
            "episode_index": np.full(length, number),
            "index": np.arange(self._frames, self._frames + length),
            "task_index": np.full(length, task),
            INSTRUCTION_KEY: np.full(length, task),
        }
        path = self._root / DATA_PATH.format(episode_chunk=number // CHUNK, episode_index=number)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({name: _column(values) for name, values in rows.items()}), path)
        statistics = {name: row_statistics(values.reshape(length, -1)) for name, values in rows.items()}
        for camera, frames in episode.images.items():
            self._write_video(number, camera, frames)
            statistics[IMAGE_PREFIX + camera] = image_statistics(intensity_histogram(frames), length)
        self._frames += length
        self._episodes.append({"episode_index": number, "tasks": [episode.instruction], "length": length})
        self._statistics.append({"episode_index": number, "stats": _chosen(statistics, _IN_EPISODE)})

    def finish(self) -> None:
        """Write the metadata; ValueError where there was no episode."""
        if not self._episodes:
            raise ValueError("an export must hold at least one episode, got none")
        whole = {name: row_statistics(np.concatenate(values)) for name, values in self._rows.items()}
        tasks = [{"task_index": number, "task": text} for text, number in self._tasks.items()]
        _write_text(self._root / "meta/info.json", json.dumps(self._info(), indent=4) + "\n")
        _write_text(self._root / "meta/stats.json", json.dumps(_chosen(whole, _IN_DATASET), indent=4) + "\n")
        for name, lines in (("tasks", tasks), ("episodes", self._episodes), ("episodes_stats", self._statistics)):
            text = "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines)
            _write_text(self._root / f"meta/{name}.jsonl", text)

    def _write_video(self, number: int, camera: str, frames: np.ndarray) -> None:
        path = VIDEO_PATH.format(episode_chunk=number // CHUNK, video_key=IMAGE_PREFIX + camera, episode_index=number)
        video = VideoWriter(self._root / path, self._fps, frames.shape[1], frames.shape[2], self._encoding)
        try:
            video.append(frames)
        except BaseException:
            video.abandon()
            raise
        video.close()

    def _info(self) -> dict:
        features: dict[str, dict] = {
            IMAGE_PREFIX + camera: {
                "dtype": "video",
                "shape": list(shape),
                "names": ["height", "width", "channels"],
                "info": {
                    "video.height": shape[0],
                    "video.width": shape[1],
                    "video.channels": shape[2],
                    "video.codec": "h264",
                    "video.pix_fmt": "gbrp" if self._encoding == LOSSLESS else self._encoding.pixel_format,
                    "video.fps": self._fps,
                    "video.is_depth_map": False,
                    "has_audio": False,
                },
            }
            for camera, shape in self._shapes.items()
        }
        for key, names in self._names.items():
            features[key] = {"dtype": "float32", "shape": [len(names)], "names": list(names)}
        features["timestamp"] = {"dtype": "float32", "shape": [1], "names": None}
        features |= {name: {"dtype": "int64", "shape": [1], "names": None} for name in _INTEGERS}
        episodes = len(self._episodes)
        return {
            "codebase_version": CODEBASE_VERSION,
            "robot_type": ROBOT_TYPE,
            "total_episodes": episodes,
            "total_frames": self._frames,
            "total_tasks": len(self._tasks),
            "total_videos": episodes * len(self._shapes),
            "total_chunks": -(-episodes // CHUNK),
            "chunks_size": CHUNK,
            "fps": self._fps,
            "splits": {"train": f"0:{episodes}"},
            "data_path": DATA_PATH,
            "video_path": VIDEO_PATH,
            "features": features,
        }


REMEDY = "`--image-size 224` brings every camera to one size"


def require_one_size(shapes: Mapping[str, tuple[int, ...]], what: str) -> None:
    """ValueError naming `what` unless all cameras' pictures have one size, of even height and width (as yuv420p has it)."""
    if not shapes:
        raise ValueError(f"{what}: a VLA's dataset must have at least one camera, got none")
    if len(set(shapes.values())) > 1:
        raise ValueError(f"{what}: the pictures of all cameras must be of one size, got {_said(shapes)}; {REMEDY}")
    height, width = next(iter(shapes.values()))[:2]
    if height % 2 or width % 2:
        raise ValueError(f"{what}: pictures must be of even height and width, got {_said(shapes)}; {REMEDY}")


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """An empty folder for the body to write, which becomes `out` when the body has finished: a kill leaves none of that name.

    FileExistsError where `out` is there.
    """
    if os.path.lexists(out):
        raise FileExistsError(f"{out} must not exist yet; name another folder with --out, or remove it")
    work = files.fresh_folder(out.with_name(f".{out.name}.partial"))
    try:
        yield work
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    files.publish(work, out)


def _said(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{camera} {shape[0]} x {shape[1]}" for camera, shape in shapes.items())


def _column(values: np.ndarray) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def _chosen(statistics: Mapping[str, Statistics], names: Sequence[str]) -> dict:
    return {key: {name: entry[name].tolist() for name in names} for key, entry in statistics.items()}


def _write_text(path: Path, text: str) -> None:
    files.write_bytes(path, text.encode())
