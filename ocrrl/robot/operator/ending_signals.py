"""SIGTERM and a closed terminal end a session like Ctrl-C: the arm is stopped and the episode kept.

By themselves they would end the process at once, and leave stopping the arm to its control box.
"""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

ENDING = (signal.SIGTERM, signal.SIGHUP)


def interrupted_by_signals() -> AbstractContextManager[None]:
    """Raises KeyboardInterrupt in the main thread at the first of `ENDING`; later ones do not break into what it does then.

    Does nothing in another thread, which gets no signals.
    """
    return _handled(ENDING, _interrupt)


@contextmanager
def signals_held_back() -> Iterator[None]:
    """Delays SIGINT and `ENDING` until the block has finished; does nothing in another thread than the main one."""
    came: list[int] = []
    try:
        with _handled((signal.SIGINT, *ENDING), lambda number, frame: came.append(number)):
            yield
    finally:
        for number in came[:1]:
            signal.raise_signal(number)


@contextmanager
def _handled(numbers: Sequence[int], handler: Callable[[int, object], object]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _interrupt(number: int, frame: object) -> None:
    for ending in ENDING:
        signal.signal(ending, signal.SIG_IGN)
    raise KeyboardInterrupt
