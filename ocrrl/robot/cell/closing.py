"""Letting go of the parts of a cell, each of them, whatever another one raises."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol


class Closable(Protocol):
    """A part of a cell that is let go of."""

    def close(self) -> None: ...


def close_all(parts: Sequence[Closable]) -> None:
    """Close `parts` in their order; afterwards RuntimeError with what each one that failed said, or the interrupt that came."""
    failures: list[BaseException] = []
    for part in parts:
        try:
            part.close()
        except BaseException as error:
            failures.append(error)
    for error in failures:
        if not isinstance(error, Exception):  # Ctrl-C
            raise error
    if failures:
        told = dict.fromkeys(
            str(error) or type(error).__name__ for error in failures
        )  # often one lost arm says it twice
        raise RuntimeError("; ".join(told)) from failures[0]


@contextmanager
def closed_told(part: Closable, told: Callable[[str], object]) -> Iterator[None]:
    """Close `part` at the end, however it comes; an error of that is `told` and ends nothing: what was recorded is on disk."""
    try:
        yield
    finally:
        try:
            part.close()
        except Exception as error:
            told(str(error) or type(error).__name__)


@contextmanager
def unclosed_told(cell: str) -> Iterator[list[str]]:
    """The list of what `closed_told` tells meanwhile; at the end, however it comes, a line of each goes to stderr."""
    unclosed: list[str] = []
    try:
        yield unclosed
    finally:
        for said in unclosed:
            print(f"{cell} was not closed as it should be, look at it before the next session: {said}", file=sys.stderr)
