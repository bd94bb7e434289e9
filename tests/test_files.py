import json

import pytest

from ocrrl import files


def test_json_has_null_for_what_is_no_number_and_the_same_bytes_for_the_same_content(tmp_path):
    files.write_json(tmp_path / "a.json", {"b": float("nan"), "a": (1, float("inf"))})
    files.write_json(tmp_path / "b.json", {"a": [1, None], "b": None})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [1, None], "b": None}
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        files.write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}


def test_publishing_replaces_a_folder_whole(tmp_path):
    work, out = tmp_path / "work", tmp_path / "deep" / "out"
    for content in ("old", "new"):
        files.fresh_folder(work)
        (work / content).write_text(content)
        files.publish(work, out)
    assert [path.name for path in out.iterdir()] == ["new"] and not work.exists()


def test_a_fingerprint_follows_contents_names_and_values(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_text("1")
    first = files.fingerprint(folder, 3)
    assert files.fingerprint(folder, 3) == first
    assert files.fingerprint(folder, 4) != first
    (folder / "a").write_text("2")
    second = files.fingerprint(folder, 3)
    (folder / "a").rename(folder / "b")
    assert len({first, second, files.fingerprint(folder, 3)}) == 3
