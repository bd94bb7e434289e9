"""JSON files of models: what is wrong with one is said in a line that names the file."""

import json

import pytest

from ocrrl.interface.json_file import read_json, read_json_object, said

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def test_an_object_is_read(tmp_path):
    (tmp_path / "a.json").write_text('{"type": "act", "sizes": [1, 2.5]}')
    assert read_json_object(tmp_path / "a.json") == {"type": "act", "sizes": [1, 2.5]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must be JSON, got an empty file"),
        (b'{"type": ', "must be JSON, got Expecting value"),
        (b"\xff\xfe\x00", "must be JSON, got 'utf-8' codec"),
        (b"[1]", r"must hold a JSON object, got \[1\]"),
        (b'{"a": NaN}', "got the number NaN"),
        (b'{"a": -Infinity}', "got the number -Infinity"),
        (b'{"a": 1e999}', "got the number 1e999, which no float holds"),
        (b'{"a": 1, "b": 2, "a": 3}', "got the key 'a' twice"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "must be JSON, got Exceeds the limit"),
        (POINTER, "must be the file itself, got a Git LFS pointer to it; fetch it with `git lfs pull`"),
    ],
)
def test_a_damaged_file_is_refused_by_name_in_one_line(tmp_path, content, message):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as refused:
        read_json_object(path)
    assert str(refused.value).startswith(str(path)) and "\n" not in str(refused.value)


def test_a_missing_file_and_a_folder_in_its_place_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.json must be a file, got nothing there; fetch"):
        read_json_object(tmp_path / "config.json")
    (tmp_path / "config.json").mkdir()
    with pytest.raises(FileNotFoundError, match="must be a file, got another kind of entry there"):
        read_json_object(tmp_path / "config.json")


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(ValueError, match="must be of at most 64 MiB, got 1024"):
        read_json(path)


def test_another_librarys_file_may_hold_nan(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"a": [float("inf")]}))
    assert read_json(tmp_path / "a.json", strict=False) == {"a": [float("inf")]}


def test_a_long_value_is_cut_in_an_error():
    assert said("x" * 500).endswith("...") and len(said("x" * 500)) == 80
