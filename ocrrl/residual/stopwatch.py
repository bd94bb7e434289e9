"""Timing of a training run; never part of a tracked output."""

from collections.abc import Callable


class Stopwatch:
    """Seconds by part, on an injected clock (CPU time, usually): `lap` gives a part the time since the lap before."""

    def __init__(self, clock: Callable[[], float], seconds: dict[str, float] | None = None) -> None:
        self.seconds = dict(seconds or {})
        self._clock = clock
        self._last = clock()

    def lap(self, part: str) -> None:
        """Book the time since the last lap under `part`."""
        now = self._clock()
        self.seconds[part] = self.seconds.get(part, 0.0) + now - self._last
        self._last = now
