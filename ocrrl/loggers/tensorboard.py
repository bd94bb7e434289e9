"""TensorBoard: one folder a run; `tensorboard --logdir .work/tensorboard` shows them."""

import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any


class TensorBoardRun:
    """A `Sink`; tables are text, videos images that move."""

    def __init__(self, folder: Path) -> None:
        self._writer = _library("summary.writer.event_file_writer").EventFileWriter(str(folder))

    def scalars(self, name: str, step: int, values: Mapping[str, float]) -> None:
        Summary = _library("compat.proto.summary_pb2").Summary
        self._add(
            Summary(value=[Summary.Value(tag=f"{name}/{key}", simple_value=value) for key, value in values.items()]),
            step,
        )
        self._writer.flush()

    def table(self, name: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        lines = [header, ["---"] * len(header), *rows]
        text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        self._add(_library("plugins.text.summary_v2").text_pb(name, text), 0)

    def video(self, name: str, gif: bytes) -> None:
        Summary = _library("compat.proto.summary_pb2").Summary
        image = Summary.Image(encoded_image_string=gif, colorspace=3)
        self._add(Summary(value=[Summary.Value(tag=name, image=image)]), 0)

    def close(self) -> None:
        self._writer.close()

    def _add(self, summary: Any, step: int) -> None:
        Event = _library("compat.proto.event_pb2").Event
        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))


def load(folder: Path) -> None:
    for part in (
        "compat.proto.event_pb2",
        "compat.proto.summary_pb2",
        "plugins.text.summary_v2",
        "summary.writer.event_file_writer",
    ):
        _library(part)


def open_run(folder: Path, run: str) -> TensorBoardRun:
    return TensorBoardRun(folder / run)


def _library(part: str) -> Any:
    return import_module(f"tensorboard.{part}")
