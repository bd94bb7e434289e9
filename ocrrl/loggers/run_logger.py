"""Sends a run's curves, tables and videos to the logger that `OCRRL_LOGGER` names; off unless it is set.

The variable is `tensorboard`, `trackio` or `wandb`, and may name a folder: `tensorboard:/data/logs`; else it is `.work/<logger>`. No
result, no hash and no stage depends on it. The first call that fails is said on stderr, and the run goes on without a logger.
"""

import importlib
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol

from ocrrl.extras import how_to_install
from ocrrl.printable import printable

VARIABLE = "OCRRL_LOGGER"
PROJECT = "ocrrl"
LOGGERS = {"tensorboard": "tensorboard", "trackio": "trackio", "wandb": "weights_and_biases"}
"""Module by name: each has `load(folder)`, which imports the library, and then `open_run(folder, run) -> Sink`."""
TIMEOUT = 30.0
"""[s] that a run's end waits for its logger."""
_LONGEST = 300  # characters of a library's message

type Curve = Callable[[int, Mapping[str, Any]], None]
"""Takes a step and the values at it; values that are no numbers are left out."""


class Sink(Protocol):
    """One run of a logger."""

    def scalars(self, name: str, step: int, values: Mapping[str, float]) -> None:
        """The values of the curves `name`/<key> at `step`."""
        ...

    def table(self, name: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None: ...

    def video(self, name: str, gif: bytes) -> None:
        """An animated GIF."""
        ...

    def close(self) -> None:
        """Write what is still to be written."""
        ...


class RunLogger:
    """A `Sink` that never raises and never waits, but for `TIMEOUT` at the end: a thread of its own does the work.

    The library is imported before that thread starts: two threads that import one library at once may find it half loaded. What
    fails first is one line on stderr, and nothing is sent after it.
    """

    def __init__(self, chosen: str, run: str) -> None:
        """Open a run called `run` at the logger and folder that `chosen`, the variable's value, names."""
        self.chosen = chosen
        self._last: dict[str, int] = {}
        self._calls: SimpleQueue[Callable[[Sink], None] | None] = SimpleQueue()
        self._lost = threading.Lock()  # held for good by the first who says why
        self._thread: threading.Thread | None = None
        try:
            opener = self._loaded(run)
        except Exception as error:  # a logger is never a reason for a run to fail
            self.lose(error)
            return
        self._thread = threading.Thread(target=self._work, args=(opener,), daemon=True)
        self._thread.start()

    def curve(self, name: str, step: int, values: Mapping[str, Any]) -> None:
        """A point of a curve; one at or before the last that the curve has is passed over."""
        numbers = {key: float(value) for key, value in values.items() if isinstance(value, int | float)}
        if numbers and step > self._last.get(name, -1):
            self._last[name] = step
            self._send(lambda sink: sink.scalars(name, step, numbers))

    def table(self, name: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self._send(lambda sink: sink.table(name, header, rows))

    def video(self, name: str, gif: bytes) -> None:
        self._send(lambda sink: sink.video(name, gif))

    def close(self) -> None:
        """Wait until all is sent; a logger that takes longer than `TIMEOUT` is left to the process's end."""
        self._calls.put(None)
        if self._thread is None:
            return
        self._thread.join(TIMEOUT)
        if self._thread.is_alive():
            self.lose(TimeoutError(f"no end within {TIMEOUT:g} s"))

    def lose(self, error: Exception) -> None:
        """Say why nothing more is sent, once."""
        if not self._lost.acquire(blocking=False):
            return
        if isinstance(error, ModuleNotFoundError):
            said, step = f"{printable(str(error))}", how_to_install("loggers")
        else:
            said = printable(" ".join(f"{type(error).__name__}: {error}".split()))[:_LONGEST]
            step = f"correct or unset {VARIABLE}"
        print(
            f"{VARIABLE}: {printable(self.chosen)} must take this run's results, got {said}; the run goes on without a logger: {step}",
            file=sys.stderr,
        )

    def _send(self, call: Callable[[Sink], None]) -> None:
        if not self._lost.locked():
            self._calls.put(call)

    def _work(self, opener: Callable[[], Sink]) -> None:
        try:
            sink = opener()
            while (call := self._calls.get()) is not None:
                if self._lost.locked():
                    return
                call(sink)
            sink.close()
        except Exception as error:  # a logger is never a reason for a run to fail
            self.lose(error)

    def _loaded(self, run: str) -> Callable[[], Sink]:
        name, _, folder = self.chosen.partition(":")
        if name not in LOGGERS:
            raise ValueError(f"the logger must be one of {', '.join(LOGGERS)}")
        path = Path(folder or f".work/{name}").absolute()
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".writable-{os.getpid()}"  # some loggers drop what they cannot write without a word
        probe.write_bytes(b"")
        probe.unlink()
        module = importlib.import_module(f"ocrrl.loggers.{LOGGERS[name]}")
        module.load(path)
        return lambda: module.open_run(path, run)


_open: list[RunLogger] = []
"""The logger of the stage that runs in this process, where there is one."""


@contextmanager
def logged(label: str) -> Iterator[RunLogger | None]:
    """For the body, the run `label` has a logger, which `curve` finds; None where `OCRRL_LOGGER` is not set."""
    chosen = os.environ.get(VARIABLE, "").strip()
    if not chosen:
        yield None
        return
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    logger = RunLogger(chosen, f"{re.sub(r'[^A-Za-z0-9_.@-]+', '-', label)}/{stamp}")
    _open.append(logger)
    try:
        yield logger
    finally:
        _open.remove(logger)
        logger.close()


def curve(name: str) -> Curve | None:
    """Takes the points of the curve `name` of the run that goes on; None where there is no logger, or it is in another process."""
    if not _open:
        return None
    logger = _open[-1]
    return lambda step, values: logger.curve(name, step, values)


def log_points(logger: RunLogger, name: str, points: Iterable[Mapping[str, Any]], step: str) -> None:
    """The points of a curve that has been written, of which `step` is the key of the step."""
    for point in points:
        logger.curve(name, point[step], {key: value for key, value in point.items() if key != step})
