"""Validation of checkpoints, blocking or in the background."""

from collections.abc import Callable
from typing import Protocol

from ocrrl.residual.residual_policy import ResidualPolicy


class Validation(Protocol):
    """Judges one policy after the other."""

    def start(self, policy: ResidualPolicy, /) -> None:
        """Begin with `policy`; the one before has been asked for by `result`."""
        ...

    def ready(self) -> bool:
        """Whether `result` is known."""
        ...

    def result(self) -> float:
        """The success rate in [0, 1] on validation seeds; waits for it."""
        ...


class AtOnce:
    """A `Validation` that training waits for."""

    def __init__(self, success_rate: Callable[[ResidualPolicy], float]) -> None:
        self._success_rate, self._result = success_rate, 0.0

    def start(self, policy: ResidualPolicy) -> None:
        self._result = float(self._success_rate(policy))

    def ready(self) -> bool:
        return True

    def result(self) -> float:
        return self._result
