"""A teleoperation device that plays given actions."""

from collections.abc import Sequence

import numpy as np

from ocrrl.robot.teleoperation.device import DeviceReading, Event


class PlayedDevice:
    """Plays `actions` (T, 7) in every episode, then says `ending` and rests."""

    def __init__(self, actions: Sequence[np.ndarray], ending: Event = "success") -> None:
        self._actions, self._next = [np.asarray(action, float) for action in actions], 0
        self._ending: frozenset[Event] = frozenset({ending})

    def begin(self, seed: int) -> None:
        self._next = 0

    def read(self) -> DeviceReading:
        if self._next >= len(self._actions):
            opening = self._actions[-1][6] if self._actions else 1.0
            return DeviceReading(np.array([*np.zeros(6), opening]), self._ending)
        self._next += 1
        return DeviceReading(self._actions[self._next - 1])

    def follow(self, opening: float) -> None:
        pass

    def end(self) -> None:
        pass

    def close(self) -> None:
        pass
