"""A frame of a video has one owner; who provably has it keeps it."""

import pytest

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.recordings.lerobot.episode_list import ListedEpisode, VideoWindow, settle_owners

FPS = 10
KEY = "observation.images.front"


def settled(windows, frames):
    """The refused numbers; `windows` gives (length, first frame, file) by number."""
    episodes = {
        number: ListedEpisode(number, length, "data", [], videos={KEY: VideoWindow(file, first / FPS)})
        for number, (length, first, file) in windows.items()
    }
    first = settle_owners(episodes, FPS, lambda file: frames)
    assert first == {
        file: min(f for _, f, name in windows.values() if name == file) / FPS for _, _, file in windows.values()
    }
    return {number for number, episode in episodes.items() if isinstance(episode.videos[KEY], EpisodeRejected)}


@pytest.mark.parametrize(
    ("windows", "frames", "refused"),
    [
        ({0: (10, 0, "a"), 1: (10, 10, "a"), 2: (5, 0, "b")}, 20, set()),
        ({0: (10, 0, "a"), 1: (10, 50, "a"), 2: (5, 10.2, "a")}, 0, set()),
        ({0: (10, 0, "a"), 1: (10, 10, "a"), 2: (10, 0, "a")}, 30, {2}),
        ({0: (10, 0, "a"), 1: (10, 10, "a"), 2: (10, 0, "a")}, 20, {0, 2}),
        ({0: (10, 0, "a"), 1: (10, 10, "a"), 2: (10, 0, "a")}, 0, {0, 2}),
        ({0: (10, 0, "a"), 1: (10, 9, "a"), 2: (10, 19, "a")}, 30, {1}),
        ({0: (30, 0, "a"), 1: (5, 2, "a"), 2: (5, 20, "a"), 3: (5, 30, "a")}, 0, {0, 1, 2}),
        ({3: (10, 0, "a"), 7: (10, 10, "a")}, 20, set()),
    ],
)
def test_windows_that_overlap_are_refused_unless_their_place_is_proven(windows, frames, refused):
    assert settled(windows, frames) == refused


def test_the_refusal_names_the_file_and_the_other_episode():
    episodes = {n: ListedEpisode(n, 10, "data", [], videos={KEY: VideoWindow("v.mp4", 0.0)}) for n in (0, 4)}
    settle_owners(episodes, FPS, lambda file: 0)
    message = f"videos/{KEY}/from_timestamp must be where frames of its own begin in v.mp4, got frames of episode 0"
    with pytest.raises(EpisodeRejected, match=message):
        raise episodes[4].videos[KEY]
