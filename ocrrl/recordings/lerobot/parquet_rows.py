"""Rows of parquet files that others made: read a part at a time and on from there, so that N episodes cost N readings.

Legend: n rows, d numbers a row.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Float

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.recordings.lerobot.dataset_files import DatasetFiles

MAX_ROWS = 10_000_000  # of all files of a dataset: 139 hours at 20 Hz
_PART = 32 * 2**20  # bytes that are decoded at once
_TEXTS = 8  # cells of bytes, each of which a dictionary may repeat from a few bits
_TEXT_ROWS = 256  # of a list with texts, likewise
_LARGEST_LIST = 2**29  # bytes
_BUFFER = 2**20
_MARK = b"PAR1"
# Whatever pyarrow says of a file's contents; a column's name that is no UTF-8 ends in the last.
_FAULTS = (pa.ArrowException, OSError, UnicodeDecodeError)


def open_parquet(files: DatasetFiles, relative: str, cause: str = "") -> pq.ParquetFile:
    """The parquet file at `relative`; raises `EpisodeRejected` where there is none that is whole."""
    path = files.find(relative, cause)
    with path.open("rb") as file:
        start = file.read(len(_MARK))
        file.seek(max(0, path.stat().st_size - len(_MARK)))
        end = file.read()
    if start != _MARK:
        raise EpisodeRejected("file", "a parquet file", "something else (no parquet signature)", relative)
    if end != _MARK:
        got = "one without its end (a recording that was killed, or a copy that was cut short)"
        raise EpisodeRejected("file", "a whole parquet file", got, relative)
    try:
        opened = pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False, page_checksum_verification=True)
        rows, names = opened.metadata.num_rows, opened.schema_arrow.names
    except _FAULTS as error:
        raise _damaged(relative, error) from error
    if not 0 <= rows <= MAX_ROWS:
        raise EpisodeRejected("file", f"of at most {MAX_ROWS:,} rows", f"{rows:,}", relative)
    if doubled := [name for name, times in Counter(names).items() if times > 1]:
        raise EpisodeRejected(
            "columns", "named once each", f"{doubled[0]!r:.60} {names.count(doubled[0])} times", relative
        )
    return opened


def read_columns(opened: pq.ParquetFile, relative: str, columns: Sequence[str]) -> pa.Table:
    """Those of `columns` that the file has, all rows; raises `EpisodeRejected` where they take more than a list should."""
    schema = opened.schema_arrow
    present = [name for name in columns if name in schema.names]
    of_numbers = all(holds_numbers(schema.field(name).type) for name in present)
    parts, size = [], 0
    try:
        for part in opened.iter_batches(65536 if of_numbers else _TEXT_ROWS, columns=present, use_threads=False):
            parts.append(part.select(present))
            if (size := size + part.nbytes) > _LARGEST_LIST:
                raise EpisodeRejected("file", f"a list of at most {_LARGEST_LIST >> 20} MB", "more", relative)
        return pa.Table.from_batches(parts, pa.schema([schema.field(name) for name in present]))
    except _FAULTS as error:
        raise _damaged(relative, error) from error


class RowReader:
    """The `columns` of the parquet file at `relative`, read in order; a reading that goes back opens the file again."""

    def __init__(self, files: DatasetFiles, relative: str, columns: Sequence[str]) -> None:
        self._files, self._relative, self._columns = files, relative, columns
        self._process = os.getpid()
        self._opened: pq.ParquetFile | None = None
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._batch: pa.RecordBatch | None = None
        self._at = 0
        self._sizes: dict[str, float] = {}
        self._has_texts = False
        self._broken: dict[int, tuple[int, EpisodeRejected]] = {}

    def bytes_a_row(self) -> dict[str, float]:
        """What a row of each column takes, by the file's own account."""
        if not self._sizes:
            try:
                self._sizes = self._declared_sizes(self._file().metadata)
            except _FAULTS as error:
                raise _damaged(self._relative, error) from error
        return self._sizes

    def _declared_sizes(self, metadata: pq.FileMetaData) -> dict[str, float]:
        sizes = dict.fromkeys(self._columns, 0.0)
        for group in range(metadata.num_row_groups):
            described = metadata.row_group(group)
            for place in range(described.num_columns):
                column = described.column(place)
                for name in sizes:
                    if column.path_in_schema == name or column.path_in_schema.startswith(f"{name}."):
                        self._has_texts |= column.physical_type == "BYTE_ARRAY"
                        size = max(column.total_uncompressed_size, 8 * column.num_values)
                        sizes[name] = max(sizes[name], size / max(1, described.num_rows))
        return sizes

    def rows(self, start: int, stop: int) -> Iterator[tuple[int, pa.RecordBatch]]:
        """The rows from `start` to before `stop`, in parts, each with the number of its first row in the file."""
        if os.getpid() != self._process:  # a forked child shares the file's position with its parent
            self._process, self._opened, self._batch = os.getpid(), None, None
        group, first = self._group_of(start)
        broken = self._broken.get(group)
        if broken and start >= broken[0]:
            raise broken[1]
        if self._batch is None or not self._at <= start or self._at < first:
            self._batch, self._at, self._batches = None, first, self._read_on(group)
        while start < stop:
            while self._batch is None or start >= self._at + self._batch.num_rows:
                self._advance()
            offset = start - self._at
            part = self._batch.slice(offset, min(stop - start, self._batch.num_rows - offset))
            yield start, part
            start += part.num_rows

    def _file(self) -> pq.ParquetFile:
        if self._opened is None:
            self._opened = open_parquet(self._files, self._relative)
        return self._opened

    def _group_of(self, row: int) -> tuple[int, int]:
        """The row group that holds `row`, and its first row."""
        metadata, first = self._file().metadata, 0
        for group in range(metadata.num_row_groups):
            rows = metadata.row_group(group).num_rows
            if row < first + rows:
                return group, first
            first += rows
        raise EpisodeRejected("file", f"of more than {row} rows", f"{first}", self._relative)

    def _read_on(self, group: int) -> Iterator[pa.RecordBatch]:
        """The batches from row group `group` on, none of which spans two groups: damage stays where it is."""
        opened = self._file()
        size = min(4096, max(1, int(_PART / max(1.0, sum(self.bytes_a_row().values())))))
        if self._has_texts:
            size = min(size, _TEXTS)
        for number in range(group, opened.metadata.num_row_groups):
            yield from opened.iter_batches(
                batch_size=size, row_groups=[number], columns=list(self._columns), use_threads=False
            )

    def _advance(self) -> None:
        if self._batch is not None:
            self._at += self._batch.num_rows
            self._batch = None
        try:
            self._batch = next(self._batches, None)
        except _FAULTS as error:
            fault = _damaged(self._relative, error)
            self._broken[self._group_of(self._at)[0]] = self._at, fault
            raise fault from error
        if self._batch is None:
            raise EpisodeRejected("file", f"of more than {self._at} rows", "the end of the file", self._relative)


def numbers(values: pa.Array | pa.ChunkedArray, field: str, relative: str, first_row: int) -> Float[np.ndarray, "n d"]:
    """A column of numbers of any type, scalars or (nested) lists of one length, as float64 (n, d).

    Raises `EpisodeRejected` for `field` naming file and row (the first one of `values` is `first_row` of the file)
    where a row is null, of another length, or no number.
    """
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    rows, each = len(array), 1

    def refuse(required: str, got: str, place: int) -> EpisodeRejected:
        return EpisodeRejected(field, required, f"{got} at row {first_row + place // each}", relative)

    while True:
        if isinstance(array.type, pa.BaseExtensionType):
            array = array.storage
        if isinstance(array.type, pa.DictionaryType):
            array = array.dictionary_decode()
        if array.null_count:
            raise refuse(
                "a number in every row", "null", int(np.argmax(array.is_null().to_numpy(zero_copy_only=False)))
            )
        if not _is_list(array.type):
            break
        lengths = pc.call_function("list_value_length", [array]).to_numpy(zero_copy_only=False)
        if len(lengths) and (lengths != lengths[0]).any():
            place = int(np.argmax(lengths != lengths[0]))
            raise refuse(f"{lengths[0]} numbers in every row", f"{lengths[place]}", place)
        if len(lengths) and lengths[0] == 0:
            raise refuse("at least one number in every row", "none", 0)
        each *= int(lengths[0]) if len(lengths) else 1
        array = array.flatten()
    return _as_float64(array, field, relative).reshape(rows, each)


def whole_numbers(values: Float[np.ndarray, " n"], field: str, relative: str, first_row: int = 0) -> np.ndarray:
    """`values` as integers (n,); raises `EpisodeRejected` for one that is none, such as 0.5 or NaN."""
    wrong = ~(np.isfinite(values) & (np.abs(values) < 2**53)) | (values != np.rint(values))
    if wrong.any():
        place = int(np.argmax(wrong))
        raise EpisodeRejected(field, "a whole number", f"{values[place]:g} at row {first_row + place}", relative)
    return values.astype(np.int64)


def one_line(error: Exception) -> str:
    """The start of what a library said, without line breaks and control characters."""
    text = " ".join(str(error).split())
    return text.encode("unicode_escape").decode()[:160]


def holds_numbers(kind: pa.DataType) -> bool:
    """Whether a column of this type holds numbers, single or in lists."""
    while isinstance(kind, pa.BaseExtensionType) or pa.types.is_dictionary(kind) or _is_list(kind):
        kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind.value_type
    return (
        pa.types.is_boolean(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    )


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _as_float64(array: pa.Array, field: str, relative: str) -> np.ndarray:
    kind = array.type
    if not holds_numbers(kind):
        raise EpisodeRejected(field, "numbers", f"{kind}", relative)
    try:
        if pa.types.is_boolean(kind):
            array = array.cast(pa.uint8())
        elif pa.types.is_decimal(kind):
            array = array.cast(pa.float64())
    except pa.ArrowException as error:
        raise EpisodeRejected(field, "numbers that fit 64 bits", one_line(error), relative) from error
    return array.to_numpy(zero_copy_only=False).astype(np.float64)


def _damaged(relative: str, error: Exception) -> EpisodeRejected:
    return EpisodeRejected("file", "a whole parquet file", f"damaged data ({one_line(error)})", relative)
