"""A strict reader of LeRobot v2.1: every field of every file, by the format's description, and nothing else.

Source: LeRobot 0.3.3, `datasets/lerobot_dataset.py` and `datasets/utils.py`; Isaac-GR00T's `stats.json` and `modality.json`.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ocrrl.datasets.video_file import decode_video

INFO = {
    "codebase_version": str,
    "robot_type": str,
    "total_episodes": int,
    "total_frames": int,
    "total_tasks": int,
    "total_videos": int,
    "total_chunks": int,
    "chunks_size": int,
    "fps": int,
    "splits": dict,
    "data_path": str,
    "video_path": str,
    "features": dict,
}
VIDEO_INFO = {
    "video.height": int,
    "video.width": int,
    "video.channels": int,
    "video.codec": str,
    "video.pix_fmt": str,
    "video.fps": int,
    "video.is_depth_map": bool,
    "has_audio": bool,
}
NUMBERS = {"float32": pa.float32(), "int64": pa.int64()}
BOOKKEEPING = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
    "annotation.human.action.task_description": "int64",
}


@dataclass
class V21Dataset:
    """What a reader of v2.1 finds; rows of all episodes together."""

    info: dict
    columns: dict[str, np.ndarray]
    images: dict[str, np.ndarray]
    tasks: list[str]
    lengths: list[int]
    stats: dict


def read_v21(root: Path) -> V21Dataset:
    """The dataset at `root`; AssertionError for anything that v2.1 has not, or has otherwise."""
    info = json.loads((root / "meta/info.json").read_text())
    _require(info, INFO)
    assert info["codebase_version"] == "v2.1" and info["chunks_size"] == 1000
    assert info["data_path"] == "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
    assert info["video_path"] == "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
    assert info["splits"] == {"train": f"0:{info['total_episodes']}"}
    features = info["features"]
    cameras = [key for key, feature in features.items() if feature["dtype"] == "video"]
    assert cameras and all(key.startswith("observation.images.") for key in cameras)
    for key in cameras:
        assert set(features[key]) == {"dtype", "shape", "names", "info"}
        assert features[key]["names"] == ["height", "width", "channels"] and features[key]["shape"][2] == 3
        _require(features[key]["info"], VIDEO_INFO)
        height, width, channels = features[key]["shape"]
        said = features[key]["info"]
        assert (said["video.height"], said["video.width"], said["video.channels"]) == (height, width, channels)
        assert said["video.fps"] == info["fps"] and not said["has_audio"] and not said["video.is_depth_map"]
    numeric = {key: feature for key, feature in features.items() if key not in cameras}
    for feature in numeric.values():
        assert (
            set(feature) == {"dtype", "shape", "names"} and feature["dtype"] in NUMBERS and len(feature["shape"]) == 1
        )
        assert feature["names"] is None or len(feature["names"]) == len(set(feature["names"])) == feature["shape"][0]
    assert {key: feature["dtype"] for key, feature in numeric.items() if feature["names"] is None} == BOOKKEEPING
    assert set(numeric) - set(BOOKKEEPING) == {"observation.state", "action"}

    tasks = _lines(root / "meta/tasks.jsonl")
    assert [task["task_index"] for task in tasks] == list(range(info["total_tasks"]))
    assert all(set(task) == {"task_index", "task"} and task["task"].strip() for task in tasks)
    episodes, statistics = _lines(root / "meta/episodes.jsonl"), _lines(root / "meta/episodes_stats.jsonl")
    for listed in (episodes, statistics):
        assert [line["episode_index"] for line in listed] == list(range(info["total_episodes"]))
    assert all(set(line) == {"episode_index", "tasks", "length"} for line in episodes)
    assert all(set(line) == {"episode_index", "stats"} for line in statistics)
    assert info["total_chunks"] == -(-len(episodes) // 1000)
    assert info["total_videos"] == len(episodes) * len(cameras)
    assert info["total_frames"] == sum(line["length"] for line in episodes)

    columns: dict[str, list] = {key: [] for key in numeric}
    images: dict[str, list] = {key: [] for key in cameras}
    known = {
        root / f"meta/{name}"
        for name in ("info.json", "tasks.jsonl", "episodes.jsonl", "episodes_stats.jsonl", "stats.json")
    }
    first = 0
    for number, (episode, stats) in enumerate(zip(episodes, statistics, strict=True)):
        length = episode["length"]
        path = root / info["data_path"].format(episode_chunk=number // 1000, episode_index=number)
        known.add(path)
        table = pq.read_table(path)
        assert set(table.column_names) == set(numeric) and len(table) == length
        rows = {}
        for key, feature in numeric.items():
            kind, width = table.schema.field(key).type, feature["shape"][0]
            single = NUMBERS[feature["dtype"]]
            assert kind == (single if feature["names"] is None else pa.list_(single, width)), (key, kind)
            rows[key] = np.array(table[key].to_pylist()).reshape(length, width)
            columns[key].append(rows[key])
        np.testing.assert_allclose(rows["timestamp"][:, 0], np.arange(length) / info["fps"], atol=1e-4)
        np.testing.assert_array_equal(rows["frame_index"][:, 0], np.arange(length))
        np.testing.assert_array_equal(rows["index"][:, 0], np.arange(first, first + length))
        assert set(rows["episode_index"][:, 0]) == {number}
        [task] = set(rows["task_index"][:, 0])
        assert episode["tasks"] == [tasks[task]["task"]]
        np.testing.assert_array_equal(rows["annotation.human.action.task_description"], rows["task_index"])
        first += length
        assert set(stats["stats"]) == set(features)
        for key in cameras:
            path = root / info["video_path"].format(episode_chunk=number // 1000, video_key=key, episode_index=number)
            known.add(path)
            frames = np.stack([frame for _, frame in decode_video(path, info["fps"], range(length + 1))])
            assert frames.shape == (length, *features[key]["shape"]), "one file holds one episode, whole"
            images[key].append(frames)
        for key, entry in stats["stats"].items():
            _check_statistics(entry, rows.get(key), key)
    assert {*root.glob("data/*/*"), *root.glob("videos/*/*/*")} <= known

    whole = {key: np.concatenate(parts) for key, parts in columns.items()}
    stats = json.loads((root / "meta/stats.json").read_text())
    assert set(stats) == {"observation.state", "action"}
    for key, entry in stats.items():
        assert set(entry) == {"min", "max", "mean", "std", "q01", "q99"}
        for name, level in (("q01", 0.01), ("q99", 0.99)):
            np.testing.assert_allclose(entry[name], np.quantile(whole[key].astype(float), level, axis=0), atol=1e-5)
        _check_statistics(
            {**{k: entry[k] for k in ("min", "max", "mean", "std")}, "count": [len(whole[key])]}, whole[key], key
        )
    pictures = {key.removeprefix("observation.images."): np.concatenate(parts) for key, parts in images.items()}
    return V21Dataset(
        info, whole, pictures, [task["task"] for task in tasks], [episode["length"] for episode in episodes], stats
    )


def _require(content: dict, kinds: dict) -> None:
    assert set(content) == set(kinds), set(content) ^ set(kinds)
    for name, kind in kinds.items():
        assert type(content[name]) is kind, (name, content[name])


def _lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _check_statistics(entry: dict, rows: np.ndarray | None, key: str) -> None:
    assert set(entry) == {"min", "max", "mean", "std", "count"}, key
    if rows is None:
        for name in ("min", "max", "mean", "std"):
            values = np.array(entry[name])
            assert values.shape == (3, 1, 1) and (values >= 0).all() and (values <= 1).all(), (key, name)
        return
    rows = rows.astype(float)
    assert entry["count"] == [len(rows)]
    for name, expected in (("min", rows.min(0)), ("max", rows.max(0)), ("mean", rows.mean(0)), ("std", rows.std(0))):
        np.testing.assert_allclose(entry[name], expected, atol=1e-5, err_msg=f"{key} {name}")
