"""Finds each episode's rows by the rows' own indices and compares them with the metadata.

Legend: F rows of all data files, in the files' order; n rows of an episode.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int

from ocrrl.episodes.episode_checks import EpisodeRejected, check_times
from ocrrl.recordings.lerobot.dataset_files import DatasetFiles
from ocrrl.recordings.lerobot.episode_list import ListedEpisode
from ocrrl.recordings.lerobot.parquet_rows import (
    MAX_ROWS,
    holds_numbers,
    numbers,
    open_parquet,
    read_columns,
    whole_numbers,
)

_COLUMNS = ("episode_index", "frame_index", "index", "timestamp", "task_index")
_TIME_ROUNDING = 1e-4  # [s] of timestamps in float32


@dataclass(frozen=True)
class Segment:
    """Rows `start` to before `stop` of a data file."""

    file: str
    start: int
    stop: int


@dataclass
class RowIndex:
    """The bookkeeping columns of all data files."""

    files: list[str] = field(default_factory=list)
    """Those that could be read."""
    faults: dict[str, EpisodeRejected] = field(default_factory=dict)
    """By file, of the others."""
    columns: dict[str, Float[np.ndarray, " F"]] = field(default_factory=dict)
    """NaN where a value is null or its column absent; `episode_index` is among them."""
    file_of: Int[np.ndarray, " F"] = field(default_factory=lambda: np.zeros(0, np.int32))
    first_rows: list[int] = field(default_factory=list)
    """Of each file in `columns`."""

    @cached_property
    def _order(self) -> Int[np.ndarray, " F"]:
        return np.argsort(self.columns["episode_index"], kind="stable")

    def rows_of(self, number: int) -> Int[np.ndarray, " n"]:
        """Where the rows of episode `number` are in `columns`, in the files' order."""
        start, stop = np.searchsorted(self.columns["episode_index"], [number, number + 0.5], sorter=self._order)
        return self._order[start:stop]

    def segments(self, rows: Int[np.ndarray, " n"]) -> list[Segment]:
        """`rows`, in order, as parts of files."""
        starts = np.flatnonzero(np.r_[True, (np.diff(rows) != 1) | (np.diff(self.file_of[rows]) != 0)])
        parts = []
        for first, last in zip(starts, np.r_[starts[1:], len(rows)] - 1, strict=True):
            place = int(self.file_of[rows[first]])
            before = self.first_rows[place]
            parts.append(Segment(self.files[place], int(rows[first]) - before, int(rows[last]) + 1 - before))
        return parts

    def unlisted(self, numbers: Sequence[int]) -> dict[int, int]:
        """The episodes that have rows and are not in `numbers`, with how many rows."""
        found, counts = np.unique(self.columns["episode_index"], return_counts=True)
        known = set(numbers)
        return {int(n): int(c) for n, c in zip(found, counts, strict=True) if not np.isnan(n) and int(n) not in known}


def index_rows(files: DatasetFiles, relatives: Sequence[str]) -> RowIndex:
    """The bookkeeping of the data files `relatives`; a broken one is in `faults`."""
    index = RowIndex()
    parts: dict[str, list[np.ndarray]] = {name: [] for name in _COLUMNS}
    counts, total = [], 0
    for relative in relatives:
        try:
            columns = _bookkeeping(files, relative)
            total += len(columns["episode_index"])
            if total > MAX_ROWS:
                raise EpisodeRejected("data", f"at most {MAX_ROWS:,} rows in all", f"{total:,}", relative)
        except EpisodeRejected as reason:
            index.faults[relative] = reason
            continue
        index.files.append(relative)
        counts.append(len(columns["episode_index"]))
        for name, values in columns.items():
            parts[name].append(values)
    index.columns = {name: np.concatenate(values) if values else np.zeros(0) for name, values in parts.items()}
    index.file_of = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    index.first_rows = [0, *np.cumsum(counts).tolist()][: len(counts)]
    return index


def check_rows(index: RowIndex, episode: ListedEpisode, fps: float) -> list[Segment]:
    """Where the rows of `episode` are; raises `EpisodeRejected` unless they are whole, in order and evenly in time."""
    rows = index.rows_of(episode.number)
    if not len(rows) and episode.data_file in index.faults:
        raise index.faults[episode.data_file]
    segments = index.segments(rows) if len(rows) else []
    held = list(dict.fromkeys(part.file for part in segments))
    if len(rows) != episode.length:
        got = f"{len(rows)} in {' and '.join(held[:3]) or 'none of the data files'}"
        if episode.data_file in index.faults and episode.data_file not in held:
            got += f", and {episode.data_file} cannot be read"
        if len(rows) > episode.length:
            got += " (a leftover file of an earlier edit? move it away)"
        required = f"the {episode.length} rows that its length in meta/episodes says"
        raise EpisodeRejected(f"episode {episode.number}", required, got, held[0] if held else episode.data_file)
    if len(segments) > len(held):
        got = f"{len(segments)} parts with other episodes' rows between them"
        raise EpisodeRejected(f"episode {episode.number}", "in rows that follow each other", got, held[0])
    columns = {name: values[rows] for name, values in index.columns.items()}
    _check_counted("frame_index", columns["frame_index"], 0, held[0])
    start = columns["index"][0] if episode.first_index is None else episode.first_index
    _check_counted("index", columns["index"], start, held[0])
    _check_times(columns["timestamp"], fps, held[0])
    return segments


def _bookkeeping(files: DatasetFiles, relative: str) -> dict[str, np.ndarray]:
    opened = open_parquet(files, relative, "a recording that was never finished, or a copy without it")
    for name in _COLUMNS:
        place = opened.schema_arrow.get_field_index(name)
        if place >= 0 and not holds_numbers(kind := opened.schema_arrow.field(place).type):
            raise EpisodeRejected(name, "numbers", f"{kind}", relative)
    table = read_columns(opened, relative, _COLUMNS)
    if "episode_index" not in table.column_names:
        got = ", ".join(opened.schema_arrow.names) or "no columns"
        raise EpisodeRejected("columns", "episode_index and others", got, relative)
    columns = {name: np.full(table.num_rows, np.nan) for name in _COLUMNS}
    columns |= {name: _with_gaps(table[name], name, relative) for name in table.column_names}
    given = ~np.isnan(columns["episode_index"])
    if not given.all():
        row = int(np.argmin(given))
        raise EpisodeRejected("episode_index", "a number in every row", f"null at row {row}", relative)
    columns["episode_index"] = whole_numbers(columns["episode_index"], "episode_index", relative).astype(np.float64)
    return columns


def _with_gaps(column: pa.ChunkedArray, name: str, relative: str) -> np.ndarray:
    """A column of single numbers (F,), NaN where one is null."""
    kind = column.type
    if column.null_count and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        missing = column.is_null().to_numpy()
        filled = numbers(pc.fill_null(column, pa.scalar(0, kind)), name, relative, 0)[:, 0]
        return np.where(missing, np.nan, filled)
    values = numbers(column, name, relative, 0)
    if values.shape[1] != 1 and len(values):
        raise EpisodeRejected(name, "one number in every row", f"{values.shape[1]}", relative)
    return values.reshape(len(values))


def _check_counted(name: str, values: np.ndarray, start: float, file: str) -> None:
    """`values` must be start, start + 1, ...; a column that is not there says nothing."""
    if np.isnan(values).all() and name == "index":
        return
    wrong = values != start + np.arange(len(values))
    if wrong.any():
        row = int(np.argmax(wrong))
        got = "nothing" if np.isnan(values[row]) else f"{values[row]:g}"
        required = f"{start:g} to {start + len(values) - 1:g} in order"
        raise EpisodeRejected(name, required, f"{got} at row {row} of the episode", file)


def _check_times(times: np.ndarray, fps: float, file: str) -> None:
    """The rows' own times must be those of `fps`, within the tolerances that our own format has."""
    if not np.isfinite(times).all():
        row = int(np.argmin(np.isfinite(times)))
        got = "nothing" if np.isnan(times).all() else f"{times[row]:g}"
        raise EpisodeRejected("timestamp", "a number of seconds in every row", f"{got} at row {row}", file)
    slack = _TIME_ROUNDING + float(np.spacing(np.float32(np.abs(times).max())))
    check_times("timestamp", times, "fps", fps, slack, file)
