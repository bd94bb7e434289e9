import json
import multiprocessing
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from benchmarks.finetune_memory import random_episodes
from ocrrl.datasets.frames import cache as cache_module
from ocrrl.datasets.frames.cache import cached_frames
from ocrrl.datasets.frames.decoded_frames import decode_dataset, join_datasets, keep_episodes
from ocrrl.datasets.frames.decoding import DatasetFrames
from ocrrl.datasets.frames.frame_rows import FrameFile, JoinedFrames
from ocrrl.datasets.lerobot_writer import write_lerobot_dataset
from ocrrl.policies.chunk_batches import ChunkSampler
from tests.episodes.toy_episodes import demonstrated


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("frames") / "real"
    write_lerobot_dataset([(f"{k}.h5", e) for k, e in enumerate(demonstrated([3, 4], image_size=32))], root)
    return root


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """The cameras that were decoded, in order."""
    cameras, true = [], DatasetFrames.decode

    def counted(self, camera):
        cameras.append(camera)
        return true(self, camera)

    monkeypatch.setattr(DatasetFrames, "decode", counted)
    return cameras


def folders(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir())


def same_images(left, right) -> None:
    assert list(left.images) == list(right.images)
    for camera, frames in right.images.items():
        np.testing.assert_array_equal(left.images[camera][:], frames[:])


def test_frames_on_disk_are_those_in_memory_and_are_decoded_once(dataset, tmp_path, decoded):
    whole = decode_dataset(dataset)
    same_images(decode_dataset(dataset, cache=tmp_path), whole)
    assert decoded == [*whole.images] * 2
    again = decode_dataset(dataset, cache=tmp_path)
    assert decoded == [*whole.images] * 2
    same_images(again, whole)
    rows = np.array([5, 0, 5, len(whole.action) - 1])
    np.testing.assert_array_equal(again.images["front"][rows], whole.images["front"][rows])


def test_a_few_episodes_have_a_cache_of_their_own(dataset, tmp_path):
    same_images(decode_dataset(dataset, [1], cache=tmp_path), decode_dataset(dataset, [1]))


def test_chosen_and_joined_frames_are_read_and_not_copied(dataset, tmp_path):
    on_disk, whole = decode_dataset(dataset, cache=tmp_path), decode_dataset(dataset)
    chosen = keep_episodes(on_disk, [1])
    joined = join_datasets([chosen, on_disk])
    expected = np.concatenate([whole.images["wrist"][whole.rows_of(1)], whole.images["wrist"]])
    assert joined.images["wrist"].shape == expected.shape
    rows = np.random.default_rng(0).permutation(len(expected))
    np.testing.assert_array_equal(joined.images["wrist"][rows], expected[rows])
    assert isinstance(joined.images["wrist"], JoinedFrames)


def test_the_disk_is_asked_before_anything_is_decoded(dataset, tmp_path, decoded, monkeypatch):
    monkeypatch.setattr(cache_module.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 1000))
    with pytest.raises(RuntimeError, match=r"real need 0\.0 GB of disk, got 0\.0 GB free at .*: free some \(`make gc`"):
        decode_dataset(dataset, cache=tmp_path)
    assert decoded == [] and folders(tmp_path) == []


def test_a_full_disk_drops_older_frames_first(dataset, tmp_path, monkeypatch):
    other = shutil.copytree(dataset, tmp_path / "other")
    (other / "meta/note.txt").write_text("another dataset")
    cache = tmp_path / "cache"
    decode_dataset(other, cache=cache)
    (old,) = folders(cache)
    free = lambda path: shutil._ntuple_diskusage(1, 1, 0 if (cache / old).exists() else 10**12)  # noqa: E731
    monkeypatch.setattr(cache_module.shutil, "disk_usage", free)
    decode_dataset(dataset, cache=cache)
    assert old not in folders(cache) and len(folders(cache)) == 1


def test_another_version_of_a_dataset_replaces_its_frames(dataset, tmp_path):
    root, cache = shutil.copytree(dataset, tmp_path / "real"), tmp_path / "cache"
    decode_dataset(root, cache=cache)
    first = folders(cache)
    (root / "meta/note.txt").write_text("edited")
    decode_dataset(root, cache=cache)
    assert len(folders(cache)) == 1 and folders(cache) != first


def test_other_datasets_stay_up_to_a_limit_and_those_in_use_beyond_it(dataset, tmp_path):
    roots = [shutil.copytree(dataset, tmp_path / name) for name in ("a", "b", "c")]
    for root in roots:
        (root / "meta/note.txt").write_text(root.name)
    cache, kept = tmp_path / "cache", []

    def key(root):
        return next(
            f.name for f in cache.iterdir() if json.loads((f / "frames.json").read_text())["dataset"] == str(root)
        )

    for root in roots:
        decode_dataset(root, cache=cache)
        kept.append(key(root))
    assert folders(cache) == sorted(kept)
    held = decode_dataset(roots[0], cache=cache)
    frames = DatasetFrames(*frames_of(roots[2]))
    cached_frames(roots[2], None, frames, cache, kept_bytes=0)
    assert folders(cache) == sorted([kept[0], kept[2]])
    del held
    cached_frames(roots[2], None, frames, cache, kept_bytes=0)
    assert folders(cache) == [kept[2]]


def frames_of(root: Path):
    import pyarrow.parquet as pq

    info = json.loads((root / "meta/info.json").read_text())
    listed = pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet")
    return root, info, np.arange(info["total_frames"]), listed


def test_a_cut_cache_is_decoded_again(dataset, tmp_path, decoded):
    whole = decode_dataset(dataset, cache=tmp_path)
    images = {camera: frames[:] for camera, frames in whole.images.items()}
    del whole
    count = len(decoded)
    (file,) = tmp_path.glob("*/0.rgb")
    file.write_bytes(file.read_bytes()[:-100])
    again = decode_dataset(dataset, cache=tmp_path)
    assert len(decoded) == 2 * count
    for camera, frames in images.items():
        np.testing.assert_array_equal(again.images[camera][:], frames)


def test_a_file_that_is_cut_while_it_is_read_is_named(tmp_path):
    path = tmp_path / "0.rgb"
    path.write_bytes(bytes(4 * 12))
    frames = FrameFile(path, (4, 2, 2, 3))
    path.write_bytes(bytes(20))
    with pytest.raises(OSError, match=r"0\.rgb was cut while it was read: delete"):
        frames[np.array([3])]
    with pytest.raises(ValueError, match=r"0\.rgb must hold 48 bytes, got 20"):
        FrameFile(path, (4, 2, 2, 3))


SLOW = """
import sys, time
from pathlib import Path
from benchmarks.finetune_memory import random_episodes
from ocrrl.datasets.frames.decoded_frames import decode_dataset
from ocrrl.datasets.frames.decoding import DatasetFrames
true = DatasetFrames.decode
def slow(self, camera):
    for number, frame in true(self, camera):
        yield number, frame
        print("frame", flush=True)
        time.sleep(60)
DatasetFrames.decode = slow
decode_dataset(Path(sys.argv[1]), cache=Path(sys.argv[2]))
"""


def test_what_a_killed_run_left_is_taken_for_nothing_and_is_removed(dataset, tmp_path):
    run = subprocess.Popen([sys.executable, "-c", SLOW, str(dataset), str(tmp_path)], stdout=subprocess.PIPE)
    assert run.stdout is not None and run.stdout.readline() == b"frame\n"
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert [name.endswith(".partial") for name in folders(tmp_path)] == [True]
    same_images(decode_dataset(dataset, cache=tmp_path), decode_dataset(dataset))
    assert [name.endswith(".partial") for name in folders(tmp_path)] == [False]


def _decode_in_a_child(root: Path, cache: Path) -> int:
    true, count = DatasetFrames.decode, 0

    def slow(self, camera):
        nonlocal count
        count += 1
        time.sleep(0.2)
        return true(self, camera)

    DatasetFrames.decode = slow
    whole = decode_dataset(root, cache=cache)
    assert all(frames[:].any() for frames in whole.images.values())
    return count


def test_of_two_at_once_one_decodes_and_the_other_waits(dataset, tmp_path):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        counts = pool.starmap(_decode_in_a_child, [(dataset, tmp_path)] * 2)
    assert sorted(counts) == [0, 2] and len(folders(tmp_path)) == 1


def test_a_failure_leaves_nothing(dataset, tmp_path):
    root, cache = shutil.copytree(dataset, tmp_path / "real"), tmp_path / "cache"
    info = json.loads((root / "meta/info.json").read_text())
    info["features"]["observation.images.front"]["shape"] = [16, 16, 3]
    (root / "meta/info.json").write_text(json.dumps(info))
    with pytest.raises(
        ValueError, match=r"real: observation.images.front must hold frames of \(16, 16, 3\), got one of"
    ):
        decode_dataset(root, cache=cache)
    assert folders(cache) == []


def test_memory_holds_the_frames_of_a_batch_and_not_those_of_the_dataset(tmp_path):
    write_lerobot_dataset(random_episodes(2, 40, 128, 128), tmp_path / "dataset")
    frame = 128 * 128 * 3

    def peak(**cache) -> float:
        """Frames of memory that reading, joining and drawing a batch take at most, beside what was there."""
        tracemalloc.start()
        whole = decode_dataset(tmp_path / "dataset", **cache)
        joined = join_datasets([keep_episodes(whole, [0]), whole])
        ChunkSampler(joined, 4, 2, 4, seed=0).batch(0)
        used = tracemalloc.get_traced_memory()[1] / frame
        tracemalloc.stop()
        return used

    peak(cache=tmp_path / "warm")  # what is imported on first use
    assert peak() > 2 * 80
    assert peak(cache=tmp_path / "cache") < 40
    assert peak(cache=tmp_path / "cache") < 40


def test_images_in_parquet_are_decoded_a_few_at_a_time(dataset, tmp_path):
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    root = shutil.copytree(dataset, tmp_path / "images")
    whole = decode_dataset(dataset)
    info = json.loads((root / "meta/info.json").read_text())
    (data,) = root.glob("data/*/*.parquet")
    table = pq.read_table(data)
    for key in ("front", "wrist"):
        info["features"][f"observation.images.{key}"]["dtype"] = "image"
        cells = []
        for frame in whole.images[key][:]:
            content = io.BytesIO()
            Image.fromarray(frame).save(content, "PNG")
            cells.append({"bytes": content.getvalue(), "path": None})
        table = table.append_column(f"observation.images.{key}", pa.array(cells))
    order = np.random.default_rng(0).permutation(table.num_rows)  # rows need not lie in order
    pq.write_table(table.take(order), data)
    (root / "meta/info.json").write_text(json.dumps(info))
    same_images(decode_dataset(root, cache=tmp_path / "cache"), whole)
    same_images(decode_dataset(root, [1]), decode_dataset(dataset, [1]))
