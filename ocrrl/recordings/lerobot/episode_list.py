"""The episodes that a dataset lists: `meta/episodes/*/*.parquet` of v3, `meta/episodes.jsonl` of v2.1."""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.recordings.lerobot.dataset_files import DatasetFiles
from ocrrl.recordings.lerobot.dataset_info import DatasetInfo, is_number, parse_json, read_json_lines
from ocrrl.recordings.lerobot.parquet_rows import one_line, open_parquet, read_columns

_EPISODES_V3 = "meta/episodes/*/*.parquet"
EPISODES_V21 = "meta/episodes.jsonl"
_MAX_EPISODES = 1_000_000
_LARGEST = 2**31
_SHARED = 0.5  # of a frame's duration that windows may overlap by rounding


@dataclass(frozen=True)
class VideoWindow:
    """Where an episode's images of one camera are."""

    file: str
    start: float
    """[s] from the file's start."""


@dataclass
class ListedEpisode:
    """One episode as the metadata have it."""

    number: int
    length: int
    data_file: str
    """Where its rows should be."""
    tasks: object
    """What the metadata give for its instruction, unchecked."""
    first_index: int | None = None
    """`index` of its first row; None where the metadata do not say."""
    videos: dict[str, VideoWindow | EpisodeRejected] = field(default_factory=dict)
    """By feature; the reason where it cannot be used."""
    fault: EpisodeRejected | None = None
    """Why the episode cannot be used at all."""


@dataclass
class EpisodeList:
    """The episodes by number, and what else is wrong with the list."""

    episodes: dict[int, ListedEpisode] = field(default_factory=dict)
    faults: dict[str, EpisodeRejected] = field(default_factory=dict)
    """By where: a file, or a row of one."""


def list_episodes(files: DatasetFiles, info: DatasetInfo, cameras: Collection[str]) -> EpisodeList:
    """The episodes with their windows in the videos of the features `cameras`; raises `EpisodeRejected` if there is none."""
    listed = EpisodeList()
    rows = _rows_v3(files, listed, cameras) if info.major == 3 else _rows_v21(files, listed)
    for count, (where, row) in enumerate(rows):
        if count >= _MAX_EPISODES:
            raise EpisodeRejected("episodes", f"at most {_MAX_EPISODES:,}", "more", where)
        try:
            number = _whole("episode_index", row, where)
            if (known := listed.episodes.get(number)) is not None:
                known.fault = known.fault or EpisodeRejected(
                    "episode_index", "of one episode", f"{number} twice (a leftover of an earlier edit?)", where
                )
                continue
            listed.episodes[number] = _episode(number, row, info, cameras, where)
        except EpisodeRejected as reason:
            listed.faults[f"{where.removeprefix('meta/')} entry {count}"] = reason
    if not listed.episodes and not listed.faults:
        place = "meta/episodes" if info.major == 3 else EPISODES_V21
        raise EpisodeRejected("episodes", "at least one", "none", place)
    return listed


def _episode(
    number: int, row: Mapping[str, object], info: DatasetInfo, cameras: Collection[str], where: str
) -> ListedEpisode:
    episode = ListedEpisode(number, 0, "", row.get("tasks"))
    chunk = {"episode_chunk": number // info.chunks_size, "episode_index": number}
    try:
        episode.length = _whole("length", row, where, least=1)
        if episode.length == 1:
            got = f"1 for episode {number} (a recording that was stopped at once?)"
            raise EpisodeRejected("length", "at least 2 rows", got, where)
        if info.major == 3:
            chunk |= {name: _whole(f"data/{name}", row, where) for name in ("chunk_index", "file_index")}
            _check_range(episode, row, where)
        episode.data_file = info.data_path.filled(**chunk)
    except EpisodeRejected as reason:
        episode.fault = reason
        return episode
    for key in cameras:
        try:
            episode.videos[key] = _window(key, row, info, chunk, episode.length, where)
        except EpisodeRejected as reason:
            episode.videos[key] = reason
    return episode


def _check_range(episode: ListedEpisode, row: Mapping[str, object], where: str) -> None:
    if row.get("dataset_from_index") is None and row.get("dataset_to_index") is None:
        return
    episode.first_index = _whole("dataset_from_index", row, where)
    stop = _whole("dataset_to_index", row, where)
    if stop - episode.first_index != episode.length:
        got = f"{stop} for rows from {episode.first_index} on"
        raise EpisodeRejected("dataset_to_index", f"dataset_from_index + length ({episode.length})", got, where)


def _window(
    key: str, row: Mapping[str, object], info: DatasetInfo, chunk: Mapping[str, int], length: int, where: str
) -> VideoWindow:
    if info.major == 2:
        return VideoWindow(info.video_path.filled(video_key=key, **chunk), 0.0)
    name = f"videos/{key}/"
    place = {part: _whole(name + part, row, where) for part in ("chunk_index", "file_index")}
    start = _seconds(f"{name}from_timestamp", row, where)
    if row.get(f"{name}to_timestamp") is not None:
        stop = _seconds(f"{name}to_timestamp", row, where)
        if abs((stop - start) * info.fps - length) > 1.0:
            required = f"from_timestamp + length / fps = {start + length / info.fps:g} s"
            raise EpisodeRejected(f"{name}to_timestamp", required, f"{stop:g} s", where)
    return VideoWindow(info.video_path.filled(video_key=key, **dict(chunk) | place), start)


def _rows_v3(
    files: DatasetFiles, listed: EpisodeList, cameras: Collection[str]
) -> Iterator[tuple[str, dict[str, object]]]:
    wanted = ["episode_index", "length", "tasks", "dataset_from_index", "dataset_to_index"]
    wanted += ["data/chunk_index", "data/file_index"]
    parts = ("chunk_index", "file_index", "from_timestamp", "to_timestamp")
    wanted += [f"videos/{key}/{part}" for key in cameras for part in parts]
    found = False
    for relative in files.listed(_EPISODES_V3):
        found = True
        try:
            table = _table(files, relative, wanted)
        except EpisodeRejected as reason:
            listed.faults[relative] = reason
            continue
        for row in table:
            yield relative, row
    if not found:
        got = "nothing (a recording that was never finished, or a copy without it)"
        raise EpisodeRejected("files", f"there ({_EPISODES_V3})", got, "meta/episodes")


def _table(files: DatasetFiles, relative: str, wanted: list[str]) -> list[dict[str, object]]:
    opened: pq.ParquetFile = open_parquet(files, relative)
    if opened.metadata.num_rows > _MAX_EPISODES:
        got = f"{opened.metadata.num_rows:,}"
        raise EpisodeRejected("file", f"a list of at most {_MAX_EPISODES:,} episodes", got, relative)
    table = read_columns(opened, relative, wanted)
    try:
        return table.to_pylist()
    except (pa.ArrowException, ValueError, OverflowError) as error:  # texts that are no UTF-8, dates that Python lacks
        raise EpisodeRejected("file", "a readable list of episodes", one_line(error), relative) from error


def _rows_v21(files: DatasetFiles, listed: EpisodeList) -> Iterator[tuple[str, dict[str, object]]]:
    for place, line in enumerate(read_json_lines(files, EPISODES_V21, "no v2.1 dataset without it"), start=1):
        try:
            row = parse_json(line, EPISODES_V21, f", line {place}")
            if not isinstance(row, dict):
                raise EpisodeRejected("line", "a JSON object", f"{line[:40]!r} in line {place}", EPISODES_V21)
        except EpisodeRejected as reason:
            listed.faults[f"episodes.jsonl line {place}"] = reason
            continue
        yield EPISODES_V21, row


def _whole(name: str, row: Mapping[str, object], where: str, least: int = 0) -> int:
    """A whole number, also as a float such as 0.0, which pandas makes of it."""
    value = row.get(name)
    if not is_number(value) or value != math.floor(value) or not least <= value < _LARGEST:
        got = "nothing" if value is None else f"{value!r:.60}"
        raise EpisodeRejected(name, f"a whole number from {least} on", got + _of_episode(name, row), where)
    return int(value)


def _seconds(name: str, row: Mapping[str, object], where: str) -> float:
    value = row.get(name)
    if not is_number(value) or not -1e-6 <= value < 1e7:
        got = "nothing" if value is None else f"{value!r:.60}"
        raise EpisodeRejected(name, "a time in seconds from 0 on", got + _of_episode(name, row), where)
    return max(0.0, float(value))


def _of_episode(name: str, row: Mapping[str, object]) -> str:
    return "" if name == "episode_index" else f" for episode {row.get('episode_index')}"


type _Claim = tuple[float, float, ListedEpisode]
"""Start and duration of an episode's window in a video [s], and the episode."""


def settle_owners(
    episodes: Mapping[int, ListedEpisode], fps: float, frame_count: Callable[[str], int]
) -> dict[str, float]:
    """Put a refusal in place of each window that is not provably its episode's; when each file's first window begins.

    LeRobot appends episode after episode. Where a file holds as many frames as all the episodes that claim it have
    rows, those that lie where their predecessors end are right, and the others wrong. Else nobody can say which of two
    that overlap is right. `frame_count` gives a file's frames, 0 where it cannot say.
    """
    claims: dict[tuple[str, str], list[_Claim]] = defaultdict(list)
    first: dict[str, float] = {}
    for number in sorted(episodes):
        for key, window in episodes[number].videos.items():
            if isinstance(window, VideoWindow):
                claims[window.file, key].append((window.start, episodes[number].length / fps, episodes[number]))
                first[window.file] = min(window.start, first.get(window.file, window.start))
    for (file, key), windows in claims.items():
        _settle_file(file, key, windows, fps, frame_count)
    return first


def _settle_file(file: str, key: str, windows: list[_Claim], fps: float, frame_count: Callable[[str], int]) -> None:
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
    if frame_count(file) == sum(episode.length for _, _, episode in windows):
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
