"""info.json is read as far as it is needed, and each entry of another type is named."""

import json

import pytest

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.recordings.lerobot.dataset_files import DatasetFiles
from ocrrl.recordings.lerobot.dataset_info import read_info

STATE = "observation.state"
GOOD = {
    "codebase_version": "v3.0",
    "fps": 30,
    "features": {STATE: {"dtype": "float32", "shape": [2], "names": ["x", "y"]}, "broken": None},
    "total_episodes": 3,
}


def read(root, info, keys=(STATE,)):
    (root / "meta/episodes").mkdir(parents=True, exist_ok=True)
    text = info if isinstance(info, str) else json.dumps(info)
    (root / "meta/info.json").write_text(text)
    return read_info(DatasetFiles(root, root), set(keys))


def named(names, shape=2):
    return GOOD | {"features": {STATE: {"dtype": "float32", "shape": [shape], "names": names}}}


def test_what_is_asked_for_is_read_and_the_rest_may_be_anything(tmp_path):
    info = read(tmp_path, GOOD | {"robot_type": ["?"], "video_path": None})
    assert info.features[STATE].names == ["x", "y"] and info.features[STATE].shape == (2,)
    assert info.keys == (STATE, "broken") and info.totals == {"total_episodes": 3}
    assert info.video_path.filled(video_key="k", chunk_index=1, file_index=2) == "videos/k/chunk-001/file-002.mp4"


@pytest.mark.parametrize("fps", [29.97, 30000 / 1001, 5, 0.5])
def test_any_rate_above_zero_is_one(tmp_path, fps):
    assert read(tmp_path, GOOD | {"fps": fps}).fps == fps


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["x", "y"], ["x", "y"]),
        ({"motors": ["x", "y"]}, ["x", "y"]),
        ([["x", "y"]], ["x", "y"]),
        ({"x": 0, "y": 1}, ["x", "y"]),
        ({"y": 1, "x": 0}, ["x", "y"]),
        ({"left": ["x"], "right": ["y"]}, ["x", "y"]),
        ({"left": ["x"], "right": ["x"]}, ["left.x", "right.x"]),
        (["x", "x"], ["x(1)", "x(2)"]),
        (["state"], None),
        (None, None),
        ({}, None),
        ([], None),
    ],
)
def test_names_come_in_many_forms(tmp_path, names, expected):
    assert read(tmp_path, named(names)).features[STATE].names == expected


def test_names_and_shape_may_be_absent(tmp_path):
    feature = read(tmp_path, GOOD | {"features": {STATE: {"dtype": "float32"}}}).features[STATE]
    assert feature.names is None and feature.shape is None


@pytest.mark.parametrize("part", [{"info": {"is_depth_map": True}}, {"video_info": {"video.is_depth_map": True}}])
def test_a_depth_map_says_so(tmp_path, part):
    features = {"a": {"dtype": "video", "shape": [4, 4, 3]}, "b": {"dtype": "video", "shape": [4, 4, 1]} | part}
    info = read(tmp_path, GOOD | {"features": features}, ("a", "b"))
    assert [info.features[key].is_depth for key in "ab"] == [False, True]
    assert info.images == ("a", "b")


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ("[]", "meta/info.json: file must be a JSON object, got a list"),
        ('{"fps": 30', r"meta/info.json: file must be JSON, got .*cut short"),
        ("[" * 100_000, "meta/info.json: file must be JSON"),
        ('{"fps": ' + "9" * 5000 + "}", "meta/info.json: file must be JSON"),
        (GOOD | {"fps": 0}, "fps must be a number of frames per second from 0.1 to 1000, got 0"),
        (GOOD | {"fps": None}, "fps must be a number .* got null"),
        (GOOD | {"fps": "20"}, 'fps must be a number .* got "20"'),
        (GOOD | {"fps": True}, "fps must be a number .* got true"),
        (GOOD | {"fps": -5}, "fps must be a number .* got -5"),
        (GOOD | {"fps": float("nan")}, "fps must be a number .* got NaN"),
        (GOOD | {"fps": 10**400}, "fps must be a number .* got 1000"),
        (GOOD | {"features": None}, "features must be an object of features by key, got null"),
        (GOOD | {"features": [STATE]}, "features must be an object of features by key, got a list"),
        (GOOD | {"features": {STATE: "float32"}}, f"features.{STATE} must be an object with dtype, .* got a text"),
        (GOOD | {"features": {STATE: {"dtype": 32}}}, "dtype must be a text such as float32 or video, got 32"),
        (
            GOOD | {"features": {STATE: {"dtype": "f", "shape": "2"}}},
            'shape must be a list of whole numbers .* got "2"',
        ),
        (GOOD | {"features": {STATE: {"dtype": "f", "shape": [2.5]}}}, "shape must be a list of whole numbers"),
        (GOOD | {"features": {STATE: {"dtype": "f", "shape": [0]}}}, "shape must be a list of whole numbers above 0"),
        (named(7), "names must be a list of texts, .* got 7"),
        (named([1, 2]), "names must be a list of texts, .* got 1"),
        (named({"a": {"b": "c"}}), "names must be a list of texts"),
        (named([[[[[[["x"]]]]]]]), "names must be a list of texts"),
        (GOOD | {"codebase_version": "v2.0"}, r'codebase_version must be v3.0 .* got "v2.0" \(convert it: python -m'),
        (GOOD | {"codebase_version": "v1.6"}, r'got "v1.6" \(convert it: python '),
        (GOOD | {"codebase_version": 3.0}, "codebase_version must be v3.0 .* got 3.0"),
        (GOOD | {"codebase_version": "v4.0"}, 'codebase_version must be .* got "v4.0"'),
        (GOOD | {"data_path": 7}, "data_path must be a text, got 7"),
        (GOOD | {"video_path": "{x.__class__}"}, "video_path must be a path with"),
        (GOOD | {"chunks_size": 0}, "chunks_size must be a whole number from 1 on, got 0"),
        (GOOD | {"total_episodes": "3"}, 'total_episodes must be a whole number from 0 on, got "3"'),
        (GOOD | {"splits": "train"}, "splits must be an object such as .* got a text"),
        (GOOD | {"splits": {"train": [0, 1]}}, r"splits.train must be a range of episodes such as 0:8, got \[0, 1\]"),
        (GOOD | {"splits": {"train": "0-8"}}, "splits.train must be a range of episodes such as 0:8"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, info, message):
    with pytest.raises(EpisodeRejected, match=message):
        read(tmp_path, info)


def test_a_huge_description_is_not_read(tmp_path):
    with pytest.raises(EpisodeRejected, match="file must be JSON of at most 64 MB, got 70 MB"):
        read(tmp_path, " " * (70 * 2**20))


@pytest.mark.parametrize(
    ("version", "there", "missing"),
    [("v3.0", "meta/episodes.jsonl", "meta/episodes"), ("v2.1", "meta/episodes", "meta/episodes.jsonl")],
)
def test_a_half_converted_dataset_is_named(tmp_path, version, there, missing):
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta/info.json").write_text(json.dumps(GOOD | {"codebase_version": version}))
    (tmp_path / there).mkdir()
    with pytest.raises(EpisodeRejected, match="half converted; again: python -m lerobot") as refused:
        read_info(DatasetFiles(tmp_path, tmp_path), set())
    assert refused.value.file == missing
