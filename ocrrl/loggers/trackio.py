"""trackio: a database on this machine; `TRACKIO_DIR=.work/trackio trackio show --project ocrrl` shows it."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

from ocrrl.loggers.run_logger import PROJECT


class TrackioRun:
    """A `Sink`."""

    def __init__(self, run: str) -> None:
        self._trackio = trackio = import_module("trackio")
        self._media = tempfile.TemporaryDirectory()
        self._run = trackio.init(
            PROJECT, name=run.replace("/", "-"), embed=False, auto_log_gpu=False, auto_log_cpu=False
        )

    def scalars(self, name: str, step: int, values: Mapping[str, float]) -> None:
        self._run.log({f"{name}/{key}": value for key, value in values.items()}, step=step)

    def table(self, name: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        data = [dict(zip(header, row, strict=True)) for row in rows]
        self._run.log({name: self._trackio.Table(data=data)})

    def video(self, name: str, gif: bytes) -> None:
        path = Path(self._media.name, f"{name.replace('/', '_')}.gif")
        path.write_bytes(gif)
        self._run.log({name: self._trackio.Video(path, format="gif")})

    def close(self) -> None:
        self._run.finish()
        self._media.cleanup()


def load(folder: Path) -> None:
    os.environ.setdefault("TRACKIO_DIR", str(folder))  # read when trackio is loaded
    import_module("trackio")


def open_run(folder: Path, run: str) -> TrackioRun:
    return TrackioRun(run)
