"""What an episode's task is called: by `meta/episodes`, or by the rows' `task_index` and `meta/tasks`."""

from collections.abc import Collection, Iterable, Mapping

import pyarrow as pa

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.recordings.lerobot.dataset_files import DatasetFiles
from ocrrl.recordings.lerobot.dataset_info import DatasetInfo, parse_json, read_json_lines
from ocrrl.recordings.lerobot.parquet_rows import one_line, open_parquet, read_columns

_FILES = {3: "meta/tasks.parquet", 2: "meta/tasks.jsonl"}
# pandas writes the index, in which LeRobot keeps the task, under its own name or under this one.
_TASK_COLUMNS = ("task", "__index_level_0__")


def read_tasks(files: DatasetFiles, info: DatasetInfo) -> dict[float, str]:
    """The tasks by `task_index`; empty where the dataset has no such file. Raises `EpisodeRejected` for a broken one."""
    relative = _FILES[info.major]
    if not files.has(relative):
        return {}
    rows = _rows_v3(files, relative) if info.major == 3 else _rows_v21(files, relative)
    tasks = {}
    for number, text in rows:
        if not isinstance(number, int | float) or isinstance(number, bool) or not isinstance(text, str):
            raise EpisodeRejected("task", "a text with a task_index", f"{text!r:.60}, {number!r:.20}", relative)
        tasks[number] = text
    return tasks


def instruction_of(
    listed: object, indices: Collection[float], tasks: Mapping[float, str] | EpisodeRejected, file: str
) -> tuple[str | None, tuple[str, ...]]:
    """The instruction of an episode, None where the dataset has none, and notes on it.

    `listed` is what `meta/episodes` has, `indices` are the rows' `task_index`. Raises `EpisodeRejected` where the two
    contradict each other and where the tasks are no texts.
    """
    texts = [listed] if isinstance(listed, str) else listed if listed is not None else []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        got = f"{listed!r:.60} (mapping.instruction takes its place)"
        raise EpisodeRejected("tasks", "a list of texts", got, file)
    texts = list(dict.fromkeys(text for text in texts if text.strip()))
    if texts and (isinstance(tasks, EpisodeRejected) or not tasks):
        return texts[0], _notes(texts)
    if isinstance(tasks, EpisodeRejected):
        raise tasks
    of_rows = list(dict.fromkeys(tasks[index] for index in sorted(indices) if tasks.get(index, "").strip()))
    if texts and of_rows and not set(of_rows) <= set(texts):
        got = f"{of_rows[0]!r:.80} (mapping.instruction takes its place)"
        raise EpisodeRejected("task_index", f"of the episode's task {texts[0]!r:.80}", got, file)
    chosen = of_rows or texts
    return (chosen[0] if chosen else None), _notes(list(dict.fromkeys([*of_rows, *texts])))


def _notes(texts: list[str]) -> tuple[str, ...]:
    return (f"instruction: {len(texts)} tasks in one episode, the first is taken",) if len(texts) > 1 else ()


def _rows_v3(files: DatasetFiles, relative: str) -> Iterable[tuple[object, object]]:
    opened = open_parquet(files, relative)
    table = read_columns(opened, relative, ["task_index", *_TASK_COLUMNS])
    name = next((name for name in _TASK_COLUMNS if name in table.column_names), None)
    if name is None or "task_index" not in table.column_names:
        got = ", ".join(opened.schema_arrow.names) or "no columns"
        raise EpisodeRejected("columns", "task_index and task", got, relative)
    try:
        return list(zip(table["task_index"].to_pylist(), table[name].to_pylist(), strict=True))
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise EpisodeRejected("file", "a readable list of tasks", one_line(error), relative) from error


def _rows_v21(files: DatasetFiles, relative: str) -> Iterable[tuple[object, object]]:
    for place, line in enumerate(read_json_lines(files, relative, ""), start=1):
        row = parse_json(line, relative, f", line {place}")
        if not isinstance(row, dict):
            raise EpisodeRejected("line", "a JSON object", f"{line[:40]!r} in line {place}", relative)
        yield row.get("task_index"), row.get("task")
