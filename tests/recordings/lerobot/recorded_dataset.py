"""Small LeRobotDatasets of format v3 and v2.1 as `lerobot-record` lays them out, to break and to read."""

import io
import json
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

FPS = 20
SIZE = 32
STATE = ["x", "y", "z", "rx", "ry", "rz", "width"]
ACTION = [*STATE[:6], "gripper"]
DATA = "data/chunk-000/file-000.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
MAPPING = {
    "cell": "lab",
    "images": {"front": "observation.images.front", "wrist": "observation.images.wrist"},
    "position": "observation.state[x,y,z]",
    "rotation": "observation.state[rx,ry,rz]",
    "gripper_width": "observation.state[width]",
    "gripper_command": "action[gripper]",
}


def video(camera: str, file: int = 0) -> str:
    return f"videos/observation.images.{camera}/chunk-000/file-{file:03d}.mp4"


def motion(length: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Rows of a hand that goes down 4 mm a step, grasps half way and goes up again."""
    k = np.arange(length)
    height = 0.2 - 0.004 * np.minimum(k, length - 1 - k)
    opening = (k < length / 2).astype(np.float32)
    pose = np.stack(
        [np.full(length, 0.45 + 0.001 * seed), np.zeros(length), height, np.full(length, np.pi), 0 * k, 0 * k], 1
    )
    return {
        "observation.state": np.column_stack([pose, 0.03 + 0.05 * opening]).astype(np.float32),
        "action": np.column_stack([pose, opening]).astype(np.float32),
    }


def images(length: int, seed: int = 0, size: int = SIZE) -> np.ndarray:
    """A scene of even areas, over which an area of the hand's colour moves; each image another."""
    rng = np.random.default_rng(seed)
    areas = rng.integers(30, 220, (4, 4, 3), dtype=np.uint8)
    frames = np.repeat(np.kron(areas, np.ones((size // 4, size // 4, 1), np.uint8))[None], length, axis=0)
    for k in range(length):
        frames[k, (k * 2) % (size - 8) :][:8, (k * 3) % (size - 8) :][:, :8] = (250, 30, 8 * k % 250)
    return frames


def encode(path: Path, frames: np.ndarray, fps=FPS, codec="h264", pixels="yuv420p", start=0, **options: str) -> None:
    """A video of `frames`, the first one at frame number `start`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, fps, options={"threads": "1", **options})
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pixels
        for number, image in enumerate(frames):
            form = {1: "gray"}.get(image.ndim - 1, "rgb24") if image.dtype == np.uint8 else "gray16le"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=form)
            frame.pts = number + start
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def png(image: np.ndarray | Image.Image, kind: str = "PNG") -> bytes:
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    stored = io.BytesIO()
    image.save(stored, kind)
    return stored.getvalue()


@dataclass
class Recorded:
    """A dataset's parts, changed by a test before `write`."""

    lengths: list[int] = field(default_factory=lambda: [12, 10, 11])
    numbers: list[int] | None = None
    kind: str = "video"
    cameras: tuple[str, ...] = ("front", "wrist")
    seeds: list[int] | None = None
    info: dict = field(default_factory=dict)
    """Entries that take the place of the usual ones; None as value removes one."""
    columns: dict[str, pa.Array] = field(default_factory=dict)
    task: str = "grasp the wooden cuboid and lift it"

    def __post_init__(self) -> None:
        self.numbers = list(range(len(self.lengths))) if self.numbers is None else self.numbers
        self.seeds = list(range(len(self.lengths))) if self.seeds is None else self.seeds
        starts = np.cumsum([0, *self.lengths])
        self.frames = {
            camera: np.concatenate(
                [images(n, 10 * place + seed) for n, seed in zip(self.lengths, self.seeds, strict=True)]
            )
            for place, camera in enumerate(self.cameras)
        }
        parts = [motion(n, seed) for n, seed in zip(self.lengths, self.seeds, strict=True)]
        self.rows = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        frame = np.concatenate([np.arange(n) for n in self.lengths])
        self.rows |= {
            "timestamp": (frame / FPS).astype(np.float32),
            "frame_index": frame,
            "episode_index": np.repeat(self.numbers, self.lengths),
            "index": np.arange(starts[-1]),
            "task_index": np.zeros(starts[-1], int),
        }
        self.episodes = []
        for number, length, start in zip(self.numbers, self.lengths, starts[:-1].tolist(), strict=True):
            entry = {"episode_index": number, "tasks": [self.task], "length": length}
            entry |= {"data/chunk_index": 0, "data/file_index": 0}
            entry |= {"dataset_from_index": start, "dataset_to_index": start + length}
            for camera in self.cameras if self.kind == "video" else ():
                name = f"videos/observation.images.{camera}"
                entry |= {f"{name}/chunk_index": 0, f"{name}/file_index": 0}
                entry |= {f"{name}/from_timestamp": start / FPS, f"{name}/to_timestamp": (start + length) / FPS}
            self.episodes.append(entry)

    def described(self) -> dict:
        features = {
            f"observation.images.{camera}": {
                "dtype": self.kind,
                "shape": [SIZE, SIZE, 3],
                "names": ["height", "width", "channels"],
            }
            for camera in self.cameras
        }
        features["observation.state"] = {"dtype": "float32", "shape": [len(STATE)], "names": STATE}
        features["action"] = {"dtype": "float32", "shape": [len(ACTION)], "names": ACTION}
        features |= {key: {"dtype": "int64", "shape": [1], "names": None} for key in ("episode_index", "frame_index")}
        info = {
            "codebase_version": "v3.0",
            "fps": FPS,
            "features": features,
            "total_episodes": len(self.lengths),
            "total_frames": sum(self.lengths),
            "splits": {"train": f"0:{len(self.lengths)}"},
            "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
            "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        }
        changed = info | self.info
        return {key: value for key, value in changed.items() if value is not None or key not in self.info}

    def table(self) -> pa.Table:
        arrays = {
            key: pa.array(values)
            if values.ndim == 1
            else pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
            for key, values in self.rows.items()
        }
        if self.kind == "image":
            cell = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
            for camera, frames in self.frames.items():
                cells = [{"bytes": png(frame), "path": None} for frame in frames]
                arrays[f"observation.images.{camera}"] = pa.array(cells, cell)
        return pa.table(arrays | self.columns)

    def write(self, root: Path, **options: int) -> Path:
        """The dataset of format v3 at `root`; `options` are those of the data file's parquet."""
        for relative in (DATA, EPISODES):
            (root / relative).parent.mkdir(parents=True, exist_ok=True)
        (root / "meta/info.json").write_text(json.dumps(self.described()))
        pq.write_table(self.table(), root / DATA, **options)
        pq.write_table(pa.Table.from_pylist(self.episodes), root / EPISODES)
        pq.write_table(pa.table({"task_index": [0], "task": [self.task]}), root / "meta/tasks.parquet")
        if self.kind == "video":
            for camera, frames in self.frames.items():
                encode(root / video(camera), frames, g="4", bf="0")
        return root

    def write_v21(self, root: Path) -> Path:
        """The same as format v2.1: a file for each episode."""
        (root / "meta").mkdir(parents=True)
        (root / "data/chunk-000").mkdir(parents=True)
        info = self.described() | {"codebase_version": "v2.1", "chunks_size": 1000}
        info["data_path"] = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
        info["video_path"] = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
        (root / "meta/info.json").write_text(json.dumps(info | self.info))
        lines = [{key: entry[key] for key in ("episode_index", "tasks", "length")} for entry in self.episodes]
        (root / "meta/episodes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (root / "meta/tasks.jsonl").write_text(json.dumps({"task_index": 0, "task": self.task}) + "\n")
        table, start = self.table(), 0
        for number, length in zip(self.numbers or (), self.lengths, strict=True):
            part = table.slice(start, length)
            pq.write_table(part, root / f"data/chunk-000/episode_{number:06d}.parquet")
            for camera, frames in self.frames.items() if self.kind == "video" else ():
                path = root / f"videos/chunk-000/observation.images.{camera}/episode_{number:06d}.mp4"
                encode(path, frames[start : start + length], g="4", bf="0")
            start += length
        return root
