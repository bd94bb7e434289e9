"""LeRobot itself as the reference: what its own tools write, read by it and by us, is the same, row for row and pixel for pixel."""

import json
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest

from ocrrl.episodes.episode_checks import EpisodeRejected, EpisodeRequirements
from ocrrl.recordings.lerobot.dataset import open_dataset
from ocrrl.recordings.lerobot.dataset_files import DatasetFiles

CAMERAS = ("front", "wrist")
COLUMNS = ("observation.state", "action", "next.success")
FPS = 20


@pytest.fixture(scope="module")
def lerobot():
    """LeRobot's dataset and its tools, imported once: that takes some 10 s."""
    from lerobot.datasets import dataset_tools
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    return SimpleNamespace(Dataset=LeRobotDataset, tools=dataset_tools)


def recorded(lerobot, root, lengths, videos=True, seed=0, tasks=("lift the block",), size=32, **chunks):
    """A dataset by LeRobot's own writer, in which every frame of every episode is another image."""
    features = {
        f"observation.images.{camera}": {
            "dtype": "video" if videos else "image",
            "shape": (size, size, 3),
            "names": ["height", "width", "channels"],
        }
        for camera in CAMERAS
    }
    features["observation.state"] = {"dtype": "float32", "shape": (3,), "names": ["x", "y", "z"]}
    features["action"] = {"dtype": "float64", "shape": (2,), "names": ["a", "b"]}
    features["next.success"] = {"dtype": "bool", "shape": (1,), "names": None}
    dataset = lerobot.Dataset.create("local/x", fps=FPS, features=features, root=root, use_videos=videos)
    if chunks:
        dataset.meta.update_chunk_settings(**chunks)
    rng = np.random.default_rng(seed)
    for episode, length in enumerate(lengths):
        for step in range(length):
            frame = {
                f"observation.images.{camera}": rng.integers(0, 255, (size, size, 3), dtype=np.uint8)
                for camera in CAMERAS
            }
            if videos:  # large even areas survive the encoding
                frame = {
                    key: np.kron(value[:4, :4], np.ones((size // 4, size // 4, 1), np.uint8))
                    for key, value in frame.items()
                }
            frame |= {"observation.state": rng.random(3, np.float32), "action": rng.random(2)}
            frame |= {"next.success": np.array([step == length - 1]), "task": tasks[episode % len(tasks)]}
            dataset.add_frame(frame)
        dataset.save_episode()
    dataset.finalize()
    return lerobot.Dataset("local/x", root=root, video_backend="pyav")


def opened(root):
    cameras = {camera: f"observation.images.{camera}" for camera in CAMERAS}
    return open_dataset(DatasetFiles(root, root), cameras, COLUMNS, needs_task=True)


def by_lerobot(lerobot, root):
    """LeRobot's rows by episode number: the keys of ours, images as bytes."""
    dataset = lerobot.Dataset("local/x", root=root, video_backend="pyav", return_uint8=True)
    episodes = {}
    for place in range(len(dataset)):
        item = dataset[place]
        episodes.setdefault(int(item["episode_index"]), []).append(item)
    return episodes


def assert_the_same(lerobot, root):
    """Every episode that LeRobot reads is read by us, the same; returns their numbers."""
    ours, theirs = opened(root), by_lerobot(lerobot, root)
    assert not ours.faults
    assert sorted(ours.episodes) == sorted(theirs)
    for number, items in theirs.items():
        assert_same_episode(ours.read(number, EpisodeRequirements()), items)
    return sorted(theirs)


def assert_same_episode(raw, items):
    assert raw.fps == FPS and raw.instruction == items[0]["task"]
    for key in COLUMNS:
        expected = np.stack([np.asarray(item[key], np.float64).reshape(-1) for item in items])
        np.testing.assert_array_equal(raw.columns[key].astype(np.float32), expected, err_msg=key)
    for camera in CAMERAS:
        images = np.stack([as_bytes(item[f"observation.images.{camera}"]) for item in items])
        np.testing.assert_array_equal(raw.images[camera], images, err_msg=camera)


def as_bytes(image):
    """An image of LeRobot's, (3, H, W), as (H, W, 3) uint8."""
    values = image.numpy().transpose(1, 2, 0)
    return values if values.dtype == np.uint8 else np.round(values * 255).astype(np.uint8)


def test_a_recorded_dataset_is_read_as_lerobot_reads_it(lerobot, tmp_path):
    recorded(lerobot, tmp_path / "a", [9, 7, 8], tasks=("lift the block", "stack it"))
    assert assert_the_same(lerobot, tmp_path / "a") == [0, 1, 2]


@pytest.mark.slow
@pytest.mark.parametrize("videos", [True, False])
@pytest.mark.parametrize("chunks", [{}, {"video_files_size_in_mb": 0.002, "data_files_size_in_mb": 0.002}])
def test_what_lerobots_tools_make_of_a_dataset_is_read_as_lerobot_reads_it(lerobot, tmp_path, videos, chunks):
    first = recorded(lerobot, tmp_path / "a", [9, 7, 8, 6], videos, **chunks)
    second = recorded(lerobot, tmp_path / "b", [5, 10], videos, seed=1, tasks=("stack it",), **chunks)
    assert assert_the_same(lerobot, tmp_path / "a") == [0, 1, 2, 3]
    lerobot.tools.delete_episodes(first, [1], output_dir=tmp_path / "deleted", repo_id="local/d")
    assert assert_the_same(lerobot, tmp_path / "deleted") == [0, 1, 2]
    lerobot.tools.merge_datasets([first, second], output_repo_id="local/m", output_dir=tmp_path / "merged")
    assert assert_the_same(lerobot, tmp_path / "merged") == [0, 1, 2, 3, 4, 5]
    lerobot.tools.split_dataset(first, {"train": [0, 3], "val": [1, 2]}, output_dir=tmp_path / "split")
    assert assert_the_same(lerobot, tmp_path / "split/train") == [0, 1]
    assert assert_the_same(lerobot, tmp_path / "split/val") == [0, 1]


def shifted(row, frames):
    return {
        key: value + frames / FPS if key.endswith("_timestamp") and key.startswith("videos/") else value
        for key, value in row.items()
    }


EDITS = {
    "windows one frame late": lambda rows, info: [shifted(row, 1) for row in rows],
    "windows a third of a frame late": lambda rows, info: [shifted(row, 0.3) for row in rows],
    "the second window on the first": lambda rows, info: [
        rows[0],
        rows[1] | {k: v for k, v in rows[0].items() if k.startswith("videos/")},
        rows[2],
    ],
    "windows exchanged": lambda rows, info: [
        row | {k: v for k, v in other.items() if k.startswith("videos/")}
        for row, other in zip(rows, [rows[1], rows[0], rows[2]], strict=True)
    ],
    "another rate": lambda rows, info: info.update(fps=FPS / 2) or rows,
    "lengths off by one": lambda rows, info: [row | {"length": row["length"] + 1} for row in rows],
    "the last episode missing": lambda rows, info: rows[:-1],
    "an episode twice": lambda rows, info: [*rows, rows[0]],
    "the order reversed": lambda rows, info: rows[::-1],
}


@pytest.mark.slow
@pytest.mark.parametrize("edit", EDITS)
def test_a_damaged_dataset_is_refused_or_read_as_lerobot_reads_it(lerobot, tmp_path, edit):
    root = tmp_path / "a"
    recorded(lerobot, root, [9, 9, 8])
    path = root / "meta/episodes/chunk-000/file-000.parquet"
    table, info = pq.read_table(path), json.loads((root / "meta/info.json").read_text())
    rows = EDITS[edit](table.to_pylist(), info)
    pq.write_table(table.from_pylist(rows, schema=table.schema), path)
    (root / "meta/info.json").write_text(json.dumps(info))
    ours = opened(root)
    try:
        theirs = by_lerobot(lerobot, root)
    except Exception:  # whatever LeRobot makes of it: it did not read it
        theirs = {}
    read = 0
    for number in ours.episodes:
        try:
            raw = ours.read(number, EpisodeRequirements())
        except EpisodeRejected:
            continue
        read += 1
        if number in theirs:
            assert_same_episode(raw, theirs[number])
    assert (
        read < 3
        or ours.faults
        or edit in ("the order reversed", "windows a third of a frame late", "windows exchanged")
    )
