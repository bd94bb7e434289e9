"""Our hashes are DVC's, byte for byte."""

import pytest

from ocrrl.lineage.reading.hashes import Ignored, manifest_bytes, manifest_hash, manifest_of, path_hash, read_manifest


@pytest.mark.parametrize("name", ["plain", "unicode", "empty", "single.bin"])
def test_a_file_and_a_folder_have_the_hash_that_dvc_gives_them(name, history, told_by_dvc):
    root = history / "hashes"
    assert path_hash(root / name, root, Ignored.of_project(root)) == told_by_dvc["hashes"][name]


@pytest.mark.parametrize("name", ["plain", "unicode", "empty"])
def test_a_manifest_has_the_bytes_that_dvc_keeps_in_its_cache(name, history, told_by_dvc):
    root = history / "hashes"
    manifest = manifest_of(root / name, root, Ignored.of_project(root))
    value = told_by_dvc["hashes"][name]
    cached = (root / ".dvc/cache/files/md5" / value[:2] / value[2:]).read_bytes()
    assert manifest_bytes(manifest) == cached and read_manifest(cached) == manifest


def test_a_manifest_s_hash_does_not_depend_on_the_order_of_its_files():
    assert manifest_hash({"b": "1", "a": "2"}) == manifest_hash({"a": "2", "b": "1"})
    assert manifest_hash({}) == "d751713988987e9331980363e24189ce.dir"


@pytest.mark.parametrize(
    ("patterns", "path", "is_folder", "ignored"),
    [
        (["*.pyc"], "a/b/c.pyc", False, True),
        (["__pycache__"], "a/__pycache__", True, True),
        (["build/"], "a/build", False, False),
        (["build/"], "a/build", True, True),
        (["/build"], "a/build", True, False),
        (["data/*.txt"], "data/a.txt", False, True),
        (["data/*.txt"], "data/sub/a.txt", False, False),
        (["data/**"], "data/sub/a.txt", False, True),
        (["**/cache"], "a/b/cache", True, True),
        (["*.h5", "!kept.h5"], "kept.h5", False, False),
        (["file[0-9]"], "file7", False, True),
        (["file[!0-9]"], "file7", False, False),
        (["# *.h5", "", "a?c"], "abc", False, True),
        ([], ".git", True, True),
    ],
)
def test_dvcignore_s_patterns_are_git_s(patterns, path, is_folder, ignored):
    assert Ignored(patterns)(path, is_folder) is ignored
