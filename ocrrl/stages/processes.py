"""Runs calls in parallel processes with one thread each; the results are the same bytes."""

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from itertools import islice
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from ocrrl.error_line import carry_traceback


def side_by_side[T](function: Callable[..., T], calls: Sequence[tuple[Any, ...]], most: int | None = None) -> list[T]:
    """`function(*call)` for every call, results in that order; at most one process a core, or `most`.

    `function` must be importable by name. An error in a call is raised here once the others are done.
    """
    workers = min(len(calls), os.cpu_count() or 1, most or len(calls))
    if workers == 1:
        return [function(*call) for call in calls]
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_one_thread) as pool:
        answers = list(pool.map(_answer_to, [function] * len(calls), calls))
    for _, error in answers:
        if error is not None:
            raise error
    return [value for value, _ in answers]


def ahead[T](function: Callable[..., T], calls: Iterable[tuple[Any, ...]], workers: int) -> Generator[T]:
    """`function(*call)` for each call in order, with the next ones under way in `workers` processes, which end with the iteration.

    A call is taken from `calls` when it starts. `function` must be importable by name. Raises, in its turn, what a call raised.
    """
    if workers == 1:
        yield from (function(*call) for call in calls)
        return
    waiting = iter(calls)
    with ExitStack() as stack:
        free = [stack.enter_context(BackgroundProcess(function, niceness=0)) for _ in range(workers)]
        busy = deque[BackgroundProcess[..., T]]()
        while True:
            for call in islice(waiting, len(free)):
                busy.append(free.pop())
                busy[-1].start(*call)
            if not busy:
                return
            free.append(busy.popleft())
            yield free[-1].result()


class BackgroundProcess[**P, T]:
    """A function in a process of its own, called while the caller goes on: `start`, then `result`, one call at a time.

    The function can be pickled. Where cores are short, the caller goes first, as far as `niceness` says. The process ends with the
    `with` block, or with its caller, however that ends.
    """

    def __init__(self, function: Callable[P, T], niceness: int = 10) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_answer, args=(theirs, function, niceness), daemon=True)
        self._process.start()
        theirs.close()

    def start(self, *arguments: P.args, **named: P.kwargs) -> None:
        """Call the function."""
        self._connection.send((arguments, named))

    def ready(self) -> bool:
        """Whether `result` would not have to wait."""
        return self._connection.poll()

    def result(self) -> T:
        """What the call gave. Raises what it raised; RuntimeError when the process is gone."""
        try:
            value, error = self._connection.recv()
        except EOFError:
            self._process.join()
            code = self._process.exitcode
            raise RuntimeError(f"a background process must answer, got its end with exit code {code}") from None
        if error is not None:
            raise error
        return value

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self._connection.close()
        self._process.terminate()
        self._process.join()


def _answer(connection: Connection, function: Callable[..., Any], niceness: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the caller, who ends this process
    os.nice(niceness)
    _one_thread()
    while True:
        try:
            arguments, named = connection.recv()
        except EOFError:
            return
        try:
            connection.send(_answer_to(function, arguments, named))
        except OSError:  # nobody is left to hear it
            return


def _answer_to(function: Callable[..., Any], arguments: Sequence[Any], named: Mapping[str, Any] | None = None) -> tuple:
    """What a call gives, and the error that it raises, with its traceback: one of them is None."""
    try:
        return function(*arguments, **(named or {})), None
    except Exception as error:  # raised where the answer arrives
        return None, carry_traceback(error)


def _one_thread() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is loaded, which not every function does
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
