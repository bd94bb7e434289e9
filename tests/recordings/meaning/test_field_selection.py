"""Which numbers a selection names, and what is said of one that names none."""

import numpy as np
import pytest

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.interface.field_selection import check_selection, one_by_one
from ocrrl.recordings.meaning.field_selection import select

DATA = {
    "state": np.arange(12.0).reshape(2, 6),
    "flat": np.array([1.0, 2.0]),
    "long": np.zeros((3, 1)),
    "one": np.float64(3),
}
NAMES = {"state": ["x", "y", "tool z", "x", "4", "f"]}


def chosen(selection, size=None):
    return select("position", selection, DATA.__getitem__, size, NAMES)[0].tolist()


@pytest.mark.parametrize(
    ("selection", "values"),
    [
        ("state[0:3]", [0, 1, 2]),
        ("state[3]", [3]),
        ("state[ 3 ]", [3]),
        ("state[y, tool z]", [1, 2]),
        (("state[5]", "flat", "state[0:1]"), [5, 1, 0]),
        (("flat", "flat"), [1, 1]),
        ("flat", [1]),
        ("state[4]", [4]),
    ],
)
def test_a_selection_names_numbers(selection, values):
    check_selection("position", selection)
    assert chosen(selection) == values


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ("state[0:", "must be key, key\\[3\\]"),
        ("", "must be key"),
        ((), "must be key"),
        ("state[3:3]", "an empty range: from 3 to before 3"),
        ("state[-1]", "a range is two whole numbers from 0 on"),
        ("state[-3:-1]", "a range is two whole numbers from 0 on"),
        ("state[0:6:2]", "a range is two whole numbers from 0 on"),
        ("state[x,,y]", "a name is empty"),
        (7, "must be key"),
    ],
)
def test_a_selection_of_another_form_is_refused(selection, message):
    with pytest.raises(ValueError, match=message):
        check_selection("position", selection)


@pytest.mark.parametrize(
    ("selection", "size", "message"),
    [
        ("state[4:8]", None, r"in state\[4:8\], got 6 numbers there"),
        ("state[6]", None, r"in state\[6\], got 6 numbers there"),
        ("state[q]", None, r"in state\[q\], got the names x, y, tool z"),
        ("flat[a,b]", None, r"the names none \(no names there: use ranges such as flat\[0:2\]\)"),
        ("state[x]", None, "one number of the name x in state, got 2"),
        (("flat", "long"), None, "2 rows of long, got 3"),
        ("one", None, "a number a row at one, got a single number"),
        ("state[0:2]", 3, r"3 numbers \(state\[0:2\]\), got 2"),
    ],
)
def test_what_a_selection_does_not_find_is_said(selection, size, message):
    with pytest.raises(EpisodeRejected, match=f"position must be .*{message}"):
        chosen(selection, size)


def test_a_selection_can_be_taken_one_by_one():
    assert one_by_one(("q[2:4]", "state[a,b]")) == ["q[2]", "q[3]", "state[a]", "state[b]"]
    assert one_by_one("q") is None
