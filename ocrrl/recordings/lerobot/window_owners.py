"""One owner for each frame of a video: episodes that claim the same frames cannot both have them."""

from collections import defaultdict
from collections.abc import Callable, Mapping

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.recordings.lerobot.episode_list import ListedEpisode, VideoWindow

_SHARED = 0.5  # of a frame's duration that windows may overlap by rounding


def settle_owners(
    episodes: Mapping[int, ListedEpisode], fps: float, frame_count: Callable[[str], int]
) -> dict[str, float]:
    """Put a refusal in place of each window that is not provably its episode's; when each file's first window begins.

    LeRobot appends episode after episode. Where a file holds as many frames as all the episodes that claim it have
    rows, those that lie where their predecessors end are right, and the others wrong. Else nobody can say which of two
    that overlap is right. `frame_count` gives a file's frames, 0 where it cannot say.
    """
    claims: dict[tuple[str, str], list[ListedEpisode]] = defaultdict(list)
    first: dict[str, float] = {}
    for number in sorted(episodes):
        for key, window in episodes[number].videos.items():
            if isinstance(window, VideoWindow):
                claims[window.file, key].append(episodes[number])
                first[window.file] = min(window.start, first.get(window.file, window.start))
    for (file, key), claimants in claims.items():
        _settle_file(file, key, claimants, fps, frame_count)
    return first


def _settle_file(
    file: str, key: str, claimants: list[ListedEpisode], fps: float, frame_count: Callable[[str], int]
) -> None:
    windows = [(start_of(episode, key), episode.length / fps, episode) for episode in claimants]
    rivals: dict[int, int] = {}
    last_stop, last = -1.0, None
    for start, duration, episode in sorted(windows, key=lambda window: (window[0], window[2].number)):
        if last is not None and start < last_stop - _SHARED / fps:
            rivals.setdefault(last.number, episode.number)
            rivals[episode.number] = last.number
        if start + duration > last_stop:
            last_stop, last = start + duration, episode
    if not rivals:
        return
    in_place = set()
    if frame_count(file) == sum(episode.length for episode in claimants):
        place = 0
        for start, _, episode in windows:
            if abs(start * fps - place) < _SHARED:
                in_place.add(episode.number)
            place += episode.length
    for start, duration, episode in windows:
        if episode.number in rivals and episode.number not in in_place:
            got = (
                f"frames of episode {rivals[episode.number]} ({start:g} to {start + duration:g} s; a merge gone wrong?)"
            )
            required = f"where frames of its own begin in {file}"
            episode.videos[key] = EpisodeRejected(f"videos/{key}/from_timestamp", required, got, "meta/episodes")


def start_of(episode: ListedEpisode, key: str) -> float:
    """When the window of `episode` begins in its video of feature `key` [s]."""
    window = episode.videos[key]
    assert isinstance(window, VideoWindow)
    return window.start
