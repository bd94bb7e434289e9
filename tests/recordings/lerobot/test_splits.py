"""The split that is asked for is taken, and a file that declares none, another or two that overlap is understood."""

import pytest

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.recordings.lerobot.lerobot_format import outside_split

HALVES = {"train": (0, 2), "val": (2, 4)}


def test_episodes_of_another_split_are_left_out_with_the_reason():
    assert outside_split("train", HALVES, [0, 1, 2, 3]) == {
        2: "not in split train (0:2)",
        3: "not in split train (0:2)",
    }


@pytest.mark.parametrize(("split", "splits"), [("", HALVES), ("train", {}), ("train", {"train": (0, 9)})])
def test_everything_is_taken_where_nothing_else_is_asked_for_or_declared(split, splits):
    assert outside_split(split, splits, [0, 1, 2, 3]) == {}


def test_a_dataset_whose_list_is_broken_leaves_nothing_out():
    assert outside_split("train", HALVES, []) == {}


def test_a_range_counts_episodes_where_numbers_have_gaps():
    assert outside_split("train", {"train": (0, 3)}, [0, 2, 5]) == {}
    assert outside_split("val", {"train": (0, 2), "val": (2, 3)}, [0, 2, 5]).keys() == {0, 2}


def test_a_range_that_reaches_beyond_the_count_is_of_numbers():
    assert outside_split("val", {"train": (0, 3), "val": (3, 6)}, [0, 2, 5]).keys() == {0, 2}


@pytest.mark.parametrize(
    ("split", "splits", "message"),
    [
        ("train", {"all": (0, 4)}, "splits must be one with train .*, got all 0:4"),
        ("train", {"train": (9, 12)}, "splits.train must be a range of the 4 episodes, got train 9:12"),
        ("train", {"train": (0, 0), "val": (0, 4)}, "splits.train must be a range of the 4 episodes"),
        (
            "train",
            {"train": (0, 3), "val": (2, 4)},
            r"splits must be without episodes in both train and val, got .* \(episode 2 is in both\)",
        ),
    ],
)
def test_a_split_that_is_not_there_or_not_its_own_is_refused(split, splits, message):
    with pytest.raises(EpisodeRejected, match=message):
        outside_split(split, splits, [0, 1, 2, 3])
