"""Numbers of any type come out as numbers, the rest is named; a file is read once however many episodes it holds."""

import decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.recordings.lerobot import parquet_rows
from ocrrl.recordings.lerobot.dataset_files import DatasetFiles
from ocrrl.recordings.lerobot.parquet_rows import RowReader, numbers, one_line, open_parquet, whole_numbers


def as_numbers(array, first_row=0):
    return numbers(array, "action", "data/x.parquet", first_row)


@pytest.mark.parametrize(
    "array",
    [
        pa.array([1, 0, 1], pa.uint8()),
        pa.array([1, 0, 1], pa.int64()),
        pa.array([True, False, True]),
        pa.array(np.array([1, 0, 1], np.float16)),
        pa.array([1.0, 0.0, 1.0], pa.float32()),
        pa.array([decimal.Decimal(1), decimal.Decimal(0), decimal.Decimal(1)]),
        pa.array([1, 0, 1]).dictionary_encode(),
        pa.chunked_array([[1, 0], [1]]),
        pa.array([[1.0], [0.0], [1.0]]),
        pa.array([[[1]], [[0]], [[1]]], pa.list_(pa.large_list(pa.int16()))),
        pa.array([9, 1, 0, 1]).slice(1),
        pa.array([[9], [1], [0], [1]], pa.list_(pa.int8(), 1)).slice(1),
    ],
    ids=lambda array: str(array.type),
)
def test_numbers_of_any_type_are_numbers(array):
    values = as_numbers(array)
    assert values.dtype == np.float64
    np.testing.assert_array_equal(values, [[1], [0], [1]])


def test_a_list_of_lists_is_flat():
    np.testing.assert_array_equal(
        as_numbers(pa.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]])), [[1, 2, 3, 4], [5, 6, 7, 8]]
    )


@pytest.mark.parametrize("array", [pa.array([], pa.int64()), pa.array([], pa.list_(pa.float32(), 7))])
def test_no_rows_are_no_numbers(array):
    assert len(as_numbers(array)) == 0


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (pa.array([[1, 2], None]), "action must be a number in every row, got null at row 11"),
        (pa.array([[1, 2], [3, None]]), "action must be a number in every row, got null at row 11"),
        (pa.array([1, None]), "got null at row 11"),
        (pa.array([None, None]), "got null at row 10"),
        (pa.array([[1, 2], [3]]), "action must be 2 numbers in every row, got 1 at row 11"),
        (pa.array([[[1], [2]], [[3], [4, 5]]]), "action must be 1 numbers in every row, got 2 at row 11"),
        (
            pa.array([[], []], pa.list_(pa.int8())),
            "action must be at least one number in every row, got none at row 10",
        ),
        (pa.array(["1", "2"]), "action must be numbers, got string"),
        (pa.array([{"a": 1}]), "action must be numbers, got struct"),
        (pa.array([b"1"]), "action must be numbers, got binary"),
    ],
)
def test_what_is_no_number_is_named_with_file_and_row(array, message):
    with pytest.raises(EpisodeRejected, match=message) as refused:
        as_numbers(array, 10)
    assert refused.value.file == "data/x.parquet"


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf, 1e300])
def test_a_whole_number_is_one(value):
    np.testing.assert_array_equal(whole_numbers(np.array([0.0, 3.0]), "length", "f"), [0, 3])
    with pytest.raises(EpisodeRejected, match=r"length must be a whole number, got .* at row 1"):
        whole_numbers(np.array([0.0, value]), "length", "f")


def test_what_a_library_says_is_one_line():
    assert one_line(ValueError("a\n  b\x1b[2J" + "c" * 999)).startswith("a b\\x1b[2Jccc")
    assert len(one_line(ValueError("c" * 999))) == 160


ROWS = 3000


@pytest.fixture
def files(tmp_path):
    table = pa.table({"a.b": np.arange(ROWS), "c": pa.array([b"x" * 2000] * ROWS), "other": np.zeros(ROWS)})
    pq.write_table(table, tmp_path / "one.parquet")
    pq.write_table(table, tmp_path / "groups.parquet", row_group_size=700, use_dictionary=False)
    return DatasetFiles(tmp_path, tmp_path)


@pytest.mark.parametrize("name", ["one.parquet", "groups.parquet"])
def test_rows_are_those_that_were_asked_for_in_any_order(files, name):
    reader = RowReader(files, name, ["a.b", "c"])
    for start, stop in ((0, 10), (10, 1500), (1500, 1501), (2990, 3000), (5, 8), (699, 701), (0, 3000)):
        parts = list(reader.rows(start, stop))
        values = np.concatenate([part.column("a.b").to_numpy() for _, part in parts])
        np.testing.assert_array_equal(values, np.arange(start, stop))
        assert [first for first, _ in parts] == [part.column("a.b")[0].as_py() for _, part in parts]


def test_rows_in_order_are_read_once(files, monkeypatch):
    opened = []
    monkeypatch.setattr(
        pq.ParquetFile, "iter_batches", lambda *a, f=pq.ParquetFile.iter_batches, **k: opened.append(k) or f(*a, **k)
    )
    reader = RowReader(files, "one.parquet", ["a.b", "c"])
    for start in range(0, ROWS, 50):
        assert sum(part.num_rows for _, part in reader.rows(start, start + 50)) == 50
    assert len(opened) == 1


def test_a_large_file_is_read_in_small_parts(files, monkeypatch):
    monkeypatch.setattr(parquet_rows, "_PART", 20_000)
    parts = list(RowReader(files, "groups.parquet", ["a.b", "c"]).rows(0, ROWS))
    assert max(part.num_rows for _, part in parts) < 20


def test_a_damaged_part_is_the_fault_of_the_rows_in_it(files):
    path = files.root / "groups.parquet"
    raw = bytearray(path.read_bytes())
    place = pq.ParquetFile(path).metadata.row_group(2).column(0).data_page_offset
    raw[place : place + 40] = b"\xff" * 40
    path.write_bytes(raw)
    reader = RowReader(files, "groups.parquet", ["a.b", "c"])
    assert sum(part.num_rows for _, part in reader.rows(0, 1400)) == 1400
    for start in (1400, 1500):
        with pytest.raises(EpisodeRejected, match="file must be a whole parquet file, got damaged data"):
            list(reader.rows(start, start + 10))
    assert sum(part.num_rows for _, part in reader.rows(2100, 2200)) == 100


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: raw[: len(raw) // 2], "file must be a whole parquet file, got one without its end"),
        (lambda raw: b"PK\3\4" + raw[4:], "file must be a parquet file, got something else"),
        (lambda raw: raw[:-20] + b"\xff" * 12 + raw[-8:], "file must be a whole parquet file, got damaged data"),
        (lambda raw: raw[:-8] + b"\xff\xff\xff\x7f" + raw[-4:], "file must be a whole parquet file, got damaged data"),
        (lambda raw: b"PAR1", "file must be a whole parquet file"),
    ],
)
def test_a_file_that_is_not_whole_is_named(files, damage, message):
    path = files.root / "one.parquet"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(EpisodeRejected, match=message) as refused:
        open_parquet(files, "one.parquet")
    assert refused.value.file == "one.parquet"


def test_a_file_of_more_rows_than_any_recording_is_refused(tmp_path):
    pq.write_table(pa.table({"a": pa.array(np.zeros(10_000_001, np.int8))}), tmp_path / "x.parquet")
    with pytest.raises(EpisodeRejected, match="file must be of at most 10,000,000 rows, got 10,000,001"):
        open_parquet(DatasetFiles(tmp_path, tmp_path), "x.parquet")


def test_columns_of_one_name_are_named(tmp_path):
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]), tmp_path / "x.parquet")
    with pytest.raises(EpisodeRejected, match="columns must be named once each, got 'a' 2 times"):
        open_parquet(DatasetFiles(tmp_path, tmp_path), "x.parquet")


def test_a_name_of_a_column_that_is_damaged_in_the_files_end_is_named(files):
    path = files.root / "groups.parquet"
    raw = path.read_bytes()
    place = raw.rindex(b"a.b", 0, raw.rindex(b"other"))
    path.write_bytes(raw[:place] + b"\xff\xf2" + raw[place + 2 :])
    with pytest.raises(EpisodeRejected, match="must be"):
        list(RowReader(files, "groups.parquet", ["a.b", "c"]).rows(0, 10))
        RowReader(files, "groups.parquet", ["a.b", "c"]).bytes_a_row()
