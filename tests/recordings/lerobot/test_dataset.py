"""A dataset is held against itself as a whole; each fault hits the episodes that it touches and is named with its file."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ocrrl.episodes.episode_checks import EpisodeRejected, EpisodeRequirements
from ocrrl.episodes.image_fit import ImageFit
from ocrrl.recordings.lerobot import parquet_rows
from ocrrl.recordings.lerobot.dataset import open_dataset
from ocrrl.recordings.lerobot.dataset_files import DatasetFiles
from ocrrl.recordings.lerobot.stored_images import MAX_PIXELS
from tests.recordings.lerobot.recorded_dataset import (
    DATA,
    EPISODES,
    FPS,
    SIZE,
    Recorded,
    encode,
    images,
    png,
    video,
)

COLUMNS = ("observation.state", "action")
ANY = EpisodeRequirements()


def opened(root, cameras=("front", "wrist"), columns=COLUMNS, needs_task=True):
    features = {camera: f"observation.images.{camera}" for camera in cameras}
    return open_dataset(DatasetFiles(root, root), features, columns, needs_task)


def outcome(root, expected=ANY, **options):
    """What becomes of each episode, and the dataset's faults: texts, empty for an episode that is read."""
    dataset = opened(root, **options)
    told = {}
    for number in sorted(dataset.episodes):
        try:
            dataset.read(number, expected)
            told[number] = ""
        except EpisodeRejected as reason:
            told[number] = str(reason)
    return told, {where: str(reason) for where, reason in dataset.faults.items()}


def assert_whole(recorded, root):
    dataset, start = opened(root), 0
    assert sorted(dataset.episodes) == recorded.numbers and not dataset.faults
    for number, length in zip(recorded.numbers, recorded.lengths, strict=True):
        raw, rows = dataset.read(number, ANY), slice(start, start + length)
        assert (raw.fps, raw.instruction, raw.notes) == (FPS, "grasp the wooden cuboid and lift it", ())
        assert raw.names["action"][-1] == "gripper"
        for key in COLUMNS:
            np.testing.assert_array_equal(raw.columns[key], recorded.rows[key][rows])
        for camera, frames in recorded.frames.items():
            difference = np.abs(raw.images[camera].astype(int) - frames[rows])
            assert difference.mean() < 8 if recorded.kind == "video" else not difference.any()
        start += length


@pytest.mark.parametrize("kind", ["video", "image"])
@pytest.mark.parametrize("numbers", [[0, 1, 2], [0, 2, 7]])
def test_every_episode_comes_with_its_own_rows_and_images(tmp_path, kind, numbers):
    recorded = Recorded(kind=kind, numbers=numbers)
    assert_whole(recorded, recorded.write(tmp_path / "v3", row_group_size=9))
    assert_whole(recorded, recorded.write_v21(tmp_path / "v21"))


def test_images_in_parquet_are_read_once_however_many_episodes(tmp_path, monkeypatch):
    root = Recorded(lengths=[5] * 12, kind="image").write(tmp_path)
    read, rows = pq.ParquetFile.iter_batches, []

    def counted(*arguments, **options):
        for batch in read(*arguments, **options):
            rows.append(batch.num_rows if "observation.images.front" in options["columns"] else 0)
            yield batch

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counted)
    told, _ = outcome(root)
    assert set(told.values()) == {""} and sum(rows) == 60


def test_images_come_at_the_size_that_is_asked_for(tmp_path):
    dataset = opened(
        Recorded(lengths=[6], cameras=("front", "wrist", "side")).write(tmp_path), ("front", "wrist", "side")
    )
    fit = ImageFit({"front": (16, 16), "wrist": (SIZE, SIZE)})
    raw = dataset.read(0, EpisodeRequirements(images=fit))
    assert {camera: frames.shape for camera, frames in raw.images.items()} == {
        "front": (6, 16, 16, 3),
        "wrist": (6, SIZE, SIZE, 3),
    }
    assert raw.notes == (
        "images.side: left out, no camera of the cell (front, wrist)",
        f"images.front: {SIZE} x {SIZE} made 16 x 16",
    )


def test_a_camera_that_is_left_out_may_be_broken(tmp_path):
    root = Recorded(cameras=("front", "side")).write(tmp_path)
    (root / video("side")).write_bytes(b"")
    fit = ImageFit({"front": (SIZE, SIZE)})
    told, _ = outcome(root, EpisodeRequirements(images=fit), cameras=("front", "side"))
    assert set(told.values()) == {""}
    assert all("side" in reason for reason in outcome(root, cameras=("front", "side"))[0].values())


def test_a_camera_that_the_cell_has_and_the_mapping_lacks_is_refused(tmp_path):
    root = Recorded(lengths=[6]).write(tmp_path)
    fit = ImageFit({"front": (SIZE, SIZE), "top": (SIZE, SIZE)})
    told, _ = outcome(root, EpisodeRequirements(images=fit))
    required = "mapping.images must be of front, top, got front, wrist (top missing)"
    assert told == {0: f"episode: {required}"}


def test_cameras_that_have_each_others_size_are_refused(tmp_path):
    recorded = Recorded(lengths=[6])
    features = recorded.described()["features"]
    features["observation.images.front"]["shape"] = [48, 64, 3]
    recorded.info = {"features": features}
    root = recorded.write(tmp_path)
    assert set(outcome(root)[0].values()) == {""}  # one size that is not declared is said
    encode(root / video("wrist"), images(6, size=64)[:, :48])
    told, _ = outcome(root)
    assert "images.front must be of the shape of observation.images.front" in told[0]
    assert "the size of images.wrist" in told[0] and "swapped?" in told[0]


def test_a_declared_size_that_is_not_the_images_is_said(tmp_path):
    recorded = Recorded(lengths=[6], cameras=("front",))
    features = recorded.described()["features"]
    features["observation.images.front"]["shape"] = [3, 48, 64]
    recorded.info = {"features": features}
    raw = opened(recorded.write(tmp_path), ("front",)).read(0, ANY)
    assert raw.notes == (f"images.front: images of {SIZE} x {SIZE}, meta/info.json says 3 x 48 x 64",)
    features["observation.images.front"]["shape"] = [3, SIZE, SIZE]
    assert opened(recorded.write(tmp_path), ("front",)).read(0, ANY).notes == ()


def edited_rows(**changes):
    """A dataset whose columns are changed; a change is given the column."""

    def make(recorded):
        for key, change in changes.items():
            recorded.rows[key] = change(recorded.rows[key])

    return make


def at(row, value):
    def change(values):
        values = values.astype(np.float64)
        values[row] = value
        return values

    return change


def edited_entry(number, **changes):
    def make(recorded):
        for key, value in changes.items():
            recorded.episodes[number][key.replace("__", "/")] = value

    return make


FRONT = "videos__observation.images.front__"


@pytest.mark.parametrize(
    ("edit", "number", "message"),
    [
        (edited_rows(frame_index=at(14, 3)), 1, f"{DATA}: frame_index must be 0 to 9 in order, got 3 at row 2"),
        (edited_rows(frame_index=at(14, np.nan)), 1, "frame_index must be 0 to 9 in order, got nothing at row 2"),
        (edited_rows(index=at(14, 99)), 1, "index must be 12 to 21 in order, got 99 at row 2"),
        (
            edited_rows(episode_index=at(14, 2)),
            1,
            "episode 1 must be the 10 rows that its length in meta/episodes says, got 9",
        ),
        (
            edited_rows(timestamp=at(14, 0.5)),
            1,
            "timestamp must be 0.025 to 0.075 s apart .*, got 0.45 s from row 1 to 2",
        ),
        (
            edited_rows(timestamp=at(14, np.inf)),
            1,
            "timestamp must be a number of seconds in every row, got inf at row 2",
        ),
        (
            edited_rows(timestamp=lambda t: np.r_[t[:12], t[12:22] + 1.7e9, t[22:]]),
            1,
            "timestamp must be seconds from 0",
        ),
        (
            edited_rows(timestamp=lambda t: np.r_[t[:12], t[12:22] * 1.2, t[22:]]),
            1,
            r"timestamp must be at 20 Hz \(fps\) on average",
        ),
        (
            edited_rows(timestamp=lambda t: np.r_[t[:12], t[12:22] * 0, t[22:]]),
            1,
            "timestamp must be 0.025 to 0.075 s apart",
        ),
        (edited_entry(1, length=11), 1, "dataset_to_index must be dataset_from_index .* got 22"),
        (
            edited_entry(1, length=10**9, dataset_to_index=10**9 + 12),
            1,
            "the 1000000000 rows that its length .* got 10 in",
        ),
        (edited_entry(1, length=0), 1, f"{EPISODES}: length must be a whole number from 1 on, got 0 for episode 1"),
        (edited_entry(1, length=1), 1, "length must be at least 2 rows, got 1 for episode 1"),
        (edited_entry(1, length=None), 1, "length must be a whole number from 1 on, got nothing for episode 1"),
        (edited_entry(1, data__file_index=-1), 1, "data/file_index must be a whole number from 0 on, got -1"),
        (edited_entry(1, dataset_from_index=13, dataset_to_index=23), 1, "index must be 13 to 22 in order, got 12"),
        (edited_entry(1, **{f"{FRONT}from_timestamp": 1e18}), 1, "from_timestamp must be a time in seconds from 0 on"),
        (edited_entry(1, **{f"{FRONT}from_timestamp": float("nan")}), 1, "from_timestamp must be a time in seconds"),
        (
            edited_entry(1, **{f"{FRONT}to_timestamp": 9.0}),
            1,
            "to_timestamp must be from_timestamp .* = 1.1 s, got 9 s",
        ),
        (edited_entry(2, **{f"{FRONT}from_timestamp": 1.5, f"{FRONT}to_timestamp": 2.05}), 2, "got none for row 3"),
        (
            edited_entry(1, **{f"{FRONT}file_index": 3}),
            1,
            r"file-003.mp4: file must be .* got nothing \(the video was never",
        ),
        (
            edited_entry(1, **{f"{FRONT}file_index": None}),
            1,
            "file_index must be a whole number from 0 on, got nothing",
        ),
        (
            edited_entry(2, **{f"{FRONT}from_timestamp": 0.0, f"{FRONT}to_timestamp": 0.55}),
            2,
            "got frames of episode 0",
        ),
    ],
)
def test_a_fault_of_one_episode_refuses_that_episode(tmp_path, edit, number, message):
    recorded = Recorded()
    edit(recorded)
    told, _ = outcome(recorded.write(tmp_path))
    with pytest.raises(EpisodeRejected, match=message):
        opened(tmp_path).read(number, ANY)
    assert sum(bool(reason) for reason in told.values()) == 1 + (message.endswith("got 9"))


def test_numbers_that_pandas_made_floats_are_numbers(tmp_path):
    recorded = Recorded()
    for entry in recorded.episodes:
        entry |= {key: float(value) for key, value in entry.items() if key.endswith("index") or key == "length"}
    recorded.rows |= {key: recorded.rows[key].astype(float) for key in ("frame_index", "episode_index", "index")}
    assert set(outcome(recorded.write(tmp_path))[0].values()) == {""}


def test_a_leftover_data_file_is_named_with_both_files(tmp_path):
    root = Recorded(kind="image").write(tmp_path)
    leftover = root / DATA.replace("000.parquet", "001.parquet")
    leftover.write_bytes((root / DATA).read_bytes())
    told, _ = outcome(root)
    assert all("got 24 in" in told[0] and name in told[0] for name in ("file-000", "file-001", "leftover"))


def test_a_broken_file_is_named_and_the_others_episodes_are_read(tmp_path):
    root = Recorded().write(tmp_path)
    (root / DATA.replace("000.parquet", "001.parquet")).write_bytes((root / DATA).read_bytes()[:500])
    told, faults = outcome(root)
    assert set(told.values()) == {""} and len(faults) == 1
    assert "data/chunk-000/file-001.parquet: file must be a whole parquet file" in next(iter(faults.values()))


def test_episodes_of_a_broken_data_file_are_refused_with_its_name(tmp_path):
    recorded = Recorded()
    recorded.episodes[2]["data/file_index"] = 1
    root = recorded.write(tmp_path)
    table = pq.read_table(root / DATA)
    pq.write_table(table.slice(0, 22), root / DATA)
    (root / DATA.replace("000.parquet", "001.parquet")).write_bytes(b"PAR1")
    told, faults = outcome(root)
    assert (told[0], told[1], faults) == ("", "", {})
    assert told[2].startswith("data/chunk-000/file-001.parquet: file must be a whole parquet file")


def test_a_broken_list_of_episodes_is_named_and_the_other_lists_are_taken(tmp_path):
    root = Recorded().write(tmp_path)
    (root / EPISODES.replace("000.parquet", "001.parquet")).write_bytes((root / EPISODES).read_bytes()[:-100])
    told, faults = outcome(root)
    assert set(told.values()) == {""} and list(faults) == [EPISODES.replace("000.parquet", "001.parquet")]


@pytest.mark.parametrize(
    ("edit", "where", "message"),
    [
        (lambda r: r.episodes.pop(), "2", "episode 2 must be listed, got 11 rows in data without an entry"),
        (lambda r: r.info.update(total_episodes=5), "total_episodes", "total_episodes must be 3, .* got 5"),
        (lambda r: r.info.update(total_frames=1), "total_frames", "total_frames must be 33, .* got 1"),
        (
            lambda r: r.episodes.append({"episode_index": None}),
            "episodes/chunk-000/file-000.parquet entry 3",
            "got nothing",
        ),
        (edited_rows(episode_index=at(20, 77)), "77", "episode 77 must be listed, got 1 rows"),
    ],
)
def test_what_is_lost_beside_the_episodes_is_named(tmp_path, edit, where, message):
    recorded = Recorded()
    edit(recorded)
    _, faults = outcome(recorded.write(tmp_path))
    assert list(faults) == [where]
    with pytest.raises(EpisodeRejected, match=message):
        raise opened(tmp_path).faults[where]


def test_an_episode_that_is_listed_twice_is_refused(tmp_path):
    recorded = Recorded()
    recorded.episodes.append(dict(recorded.episodes[1]))
    told, _ = outcome(recorded.write(tmp_path))
    assert "episode_index must be of one episode, got 1 twice" in told.pop(1) and set(told.values()) == {""}


@pytest.mark.parametrize(
    ("tasks", "index", "instruction"),
    [
        (["lift it"], 9, "lift it"),
        ("lift it", 9, "lift it"),
        ([], 0, "grasp the wooden cuboid and lift it"),
        (None, 0, "grasp the wooden cuboid and lift it"),
        (["", " "], 0, "grasp the wooden cuboid and lift it"),
        ([], 9, None),
    ],
)
def test_the_instruction_is_the_metadatas_or_the_rows(tmp_path, tasks, index, instruction):
    recorded = Recorded(lengths=[6])
    recorded.episodes[0]["tasks"] = tasks
    recorded.rows["task_index"] += index
    assert opened(recorded.write(tmp_path)).read(0, ANY).instruction == instruction


def test_two_tasks_in_an_episode_are_said(tmp_path):
    recorded = Recorded(lengths=[6])
    recorded.episodes[0]["tasks"] = ["grasp the wooden cuboid and lift it", "put it down"]
    raw = opened(recorded.write(tmp_path)).read(0, ANY)
    assert (raw.instruction, len(raw.notes)) == ("grasp the wooden cuboid and lift it", 1)


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([7], r"tasks must be a list of texts, got \[7\] \(mapping.instruction takes its place\)"),
        (7, "tasks must be a list of texts, got 7"),
        (
            ["stack it"],
            "task_index must be of the episode's task 'stack it', got 'grasp the wooden cuboid and lift it'",
        ),
    ],
)
def test_tasks_that_are_none_are_refused_unless_the_mapping_has_the_instruction(tmp_path, tasks, message):
    recorded = Recorded(lengths=[6])
    recorded.episodes[0]["tasks"] = tasks
    root = recorded.write(tmp_path)
    with pytest.raises(EpisodeRejected, match=message):
        opened(root).read(0, ANY)
    assert opened(root, needs_task=False).read(0, ANY).instruction is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": ("state",)}, "state must be one of action, .* got nothing of that name"),
        ({"columns": ("observation.images.front",)}, "observation.images.front must be a feature of numbers"),
        ({"cameras": ("top",)}, "images.top must be one of observation.images.front, observation.images.wrist, got"),
    ],
)
def test_a_mapping_that_names_what_is_not_there_is_refused_once(tmp_path, options, message):
    with pytest.raises(EpisodeRejected, match=message):
        opened(Recorded(lengths=[6]).write(tmp_path), **options)


def test_a_depth_map_is_no_camera(tmp_path):
    recorded = Recorded(lengths=[6])
    features = recorded.described()["features"]
    features["observation.images.wrist"]["info"] = {"is_depth_map": True}
    recorded.info = {"features": features}
    with pytest.raises(EpisodeRejected, match=r"images.wrist must be 8 bit RGB, got .*, a depth map by its info"):
        opened(recorded.write(tmp_path))
    assert opened(tmp_path, ("front",)).read(0, ANY).images.keys() == {"front"}


def test_rows_of_another_width_than_declared_are_refused(tmp_path):
    recorded = Recorded(lengths=[6])
    recorded.rows["action"] = recorded.rows["action"][:, :5]
    with pytest.raises(EpisodeRejected, match=r"action must be 7 numbers a row \(its shape in meta/info.json\), got 5"):
        opened(recorded.write(tmp_path)).read(0, ANY)


def test_a_column_that_the_data_lack_is_named_with_the_file(tmp_path):
    recorded = Recorded(lengths=[6])
    del recorded.rows["action"]
    told, _ = outcome(recorded.write(tmp_path))
    assert told == {0: f"{DATA}: action must be a column of the data, got nothing of that name"}


def test_what_an_episode_takes_in_memory_is_bounded_before_it_is_read(tmp_path):
    root = Recorded(lengths=[6]).write(tmp_path)
    told, _ = outcome(root, EpisodeRequirements(max_bytes=20_000))
    assert told[0].startswith("episode: images.wrist must be an episode of at most 2e-05 GB in memory, got")
    wide = Recorded(lengths=[6], columns={"wide": pa.array([[0.0] * 50_000] * 6)})
    features = wide.described()["features"] | {"wide": {"dtype": "float32", "shape": None}}
    wide.info = {"features": features}
    root = wide.write(tmp_path / "wide")
    told, _ = outcome(root, EpisodeRequirements(max_bytes=2_000_000), columns=("wide",))
    assert told[0].startswith("episode: rows must be an episode of at most 0.002 GB in memory")


def test_an_image_of_gigabytes_in_parquet_is_refused_undecoded(tmp_path):
    recorded = Recorded(lengths=[3], kind="image", cameras=("front",))
    side = int(MAX_PIXELS**0.5) + 1
    recorded.columns["observation.images.front"] = pa.array(
        [{"bytes": png(np.zeros((side, side, 3), np.uint8)), "path": None}] * 3
    )
    told, _ = outcome(recorded.write(tmp_path), cameras=("front",))
    assert "images.front must be images of at most 25,000,000 pixels" in told[0]


def test_a_list_whose_texts_expand_is_refused(tmp_path, monkeypatch):
    recorded = Recorded(lengths=[6] * 100)
    for entry in recorded.episodes:
        entry["tasks"] = ["x" * 50_000]
    root = recorded.write(tmp_path)
    assert (root / EPISODES).stat().st_size < 100_000
    monkeypatch.setattr(parquet_rows, "_LARGEST_LIST", 2**20)
    _, faults = outcome(root)
    assert faults == {EPISODES: f"{EPISODES}: file must be a list of at most 1 MB, got more"}


def test_a_broken_image_hits_its_own_episode(tmp_path):
    recorded = Recorded(kind="image", cameras=("front",))
    cells = recorded.table()["observation.images.front"].to_pylist()
    cells[13] = None
    recorded.columns["observation.images.front"] = pa.array(cells)
    told, _ = outcome(recorded.write(tmp_path), cameras=("front",))
    assert [bool(reason) for reason in told.values()] == [False, True, False]
    assert f"got no image in row 13 of {DATA}" in told[1]


def test_images_of_two_sizes_are_refused(tmp_path):
    recorded = Recorded(lengths=[4], kind="image", cameras=("front",))
    cells = recorded.table()["observation.images.front"].to_pylist()
    cells[2] = {"bytes": png(np.zeros((8, 9, 3), np.uint8)), "path": None}
    recorded.columns["observation.images.front"] = pa.array(cells)
    told, _ = outcome(recorded.write(tmp_path), cameras=("front",))
    assert "images.front must be images of one size, got 8 x 9 at row 2 after 32 x 32" in told[0]


def test_a_v21_video_of_another_episode_is_refused(tmp_path):
    root = Recorded().write_v21(tmp_path)
    folder = root / "videos/chunk-000/observation.images.front"
    encode(folder / "episode_000001.mp4", images(25))
    (folder / "episode_000002.mp4").unlink()
    told, _ = outcome(root)
    assert told[0] == ""
    assert "images.front must be 10 images, one a row, got 25" in told[1]
    assert "episode_000002.mp4: file must be a readable file of the dataset, got nothing" in told[2]


def test_a_line_that_is_cut_is_named_and_the_others_are_read(tmp_path):
    root = Recorded().write_v21(tmp_path)
    path = root / "meta/episodes.jsonl"
    path.write_text(path.read_text()[:-20])
    told, faults = outcome(root)
    assert told == {0: "", 1: ""}
    assert list(faults) == ["episodes.jsonl line 3"] and "line 3 (cut short?)" in faults["episodes.jsonl line 3"]


def test_a_data_file_that_v21_does_not_list_is_named(tmp_path):
    recorded = Recorded()
    root = recorded.write_v21(tmp_path)
    recorded.episodes.pop()
    lines = (root / "meta/episodes.jsonl").read_text().splitlines()
    (root / "meta/episodes.jsonl").write_text("\n".join(lines[:2]) + "\n")
    told, faults = outcome(root)
    assert told == {0: "", 1: ""} and list(faults) == ["2"]


def test_a_template_without_the_number_gives_two_episodes_one_video(tmp_path):
    recorded = Recorded(lengths=[6, 6])
    root = recorded.write_v21(tmp_path)
    info = json.loads((root / "meta/info.json").read_text())
    info["video_path"] = "videos/chunk-000/{video_key}/episode_000000.mp4"
    (root / "meta/info.json").write_text(json.dumps(info))
    told, _ = outcome(root)
    assert all("got frames of episode" in reason for reason in told.values())
