"""Every recording keeps a name of its own, whatever its file is called."""

import re

import pytest

from ocrrl.recordings.folder import distinct_names


def test_names_that_differ_stay_as_they_are():
    assert distinct_names(["monday", "deep/er", "a b", "x-1.2"]) == ["monday", "deep__er", "a_b", "x-1.2"]


@pytest.mark.parametrize(
    "originals",
    [
        ["a b", "a_b"],
        ["a b", "a?b", "a/b", "a__b"],
        ["测试", "实验", "тест", "__"],
        ["é", "e\u0301"],
        ["a b", "a_b", "a_b-" + "0" * 8],
        ["x" * 300, "x" * 301],
    ],
)
def test_names_that_would_become_one_are_told_apart(originals):
    names = distinct_names(originals)
    assert len(set(names)) == len(originals)
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]{1,200}", name) for name in names)
    assert distinct_names(originals[::-1]) == names[::-1]


def test_the_name_that_is_a_file_name_already_is_kept():
    assert distinct_names(["a b", "a_b"])[1] == "a_b"


def test_a_name_that_looks_like_anothers_hash_is_kept_apart():
    first = distinct_names(["a b", "a_b"])[0]
    assert len(set(distinct_names(["a b", "a_b", first]))) == 3


def test_an_original_given_twice_is_refused():
    with pytest.raises(ValueError, match="originals must be given once each, got 'a' twice"):
        distinct_names(["a", "b", "a"])
