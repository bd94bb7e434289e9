"""Letting go of the parts of a cell, each of them, whatever another one raises."""

from collections.abc import Sequence
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
