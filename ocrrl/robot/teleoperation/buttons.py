"""Buttons that count once, when they are pressed."""

from collections.abc import Mapping, Sequence

from ocrrl.robot.teleoperation.device import Event

GRIPPER = 0
"""The button, by its number on the device, that opens closed fingers and closes open ones."""


class Buttons:
    """Follows a device's buttons through one episode after the other."""

    def __init__(self, events: Mapping[int, Event]) -> None:
        """`events` are what the other buttons say, by their numbers."""
        self._events = events
        self.begin()

    def begin(self) -> None:
        """Fingers open; a button that is down from before says nothing."""
        self.opening = 1.0
        """Of the fingers, in [0, 1], as the gripper button left it, or a policy (`TeleoperationDevice.follow`)."""
        self._down: frozenset[int] | None = None

    def update(self, pressed: Sequence[bool | int]) -> frozenset[Event]:
        """What is said by the buttons that went down since the last call."""
        down = frozenset(number for number, is_down in enumerate(pressed) if is_down)
        newly = frozenset() if self._down is None else down - self._down
        self._down = down
        if GRIPPER in newly:
            self.opening = 0.0 if self.opening > 0.5 else 1.0
        return frozenset(self._events[number] for number in newly if number in self._events)
