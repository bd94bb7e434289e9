"""Buttons that count once, when they are pressed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

from ocrrl.robot.teleoperation.device import Event


@dataclass(frozen=True)
class ButtonMap:
    """Which button, by its number on the device, says what; None for what no button says."""

    gripper: int = 0
    """Opens closed fingers and closes open ones."""
    success: int | None = None
    failure: int | None = None
    discard: int | None = None
    stop: int | None = None

    def __post_init__(self) -> None:
        used = [number for name in fields(self) if (number := getattr(self, name.name)) is not None]
        if len(set(used)) != len(used) or min(used) < 0:
            raise ValueError(f"buttons must be different numbers from 0, got {self}")

    def events(self) -> Mapping[int, Event]:
        """Event by button."""
        said: dict[Event, int | None] = {
            "success": self.success,
            "failure": self.failure,
            "discard": self.discard,
            "stop": self.stop,
        }
        return {number: event for event, number in said.items() if number is not None}


@dataclass
class Buttons:
    """Follows a device's buttons through one episode after the other."""

    meaning: ButtonMap
    opening: float = 1.0
    """Of the fingers, in [0, 1], as the gripper button left it."""
    _down: frozenset[int] | None = field(default=None, init=False)

    def begin(self) -> None:
        """Fingers open; a button that is down from before says nothing."""
        self.opening, self._down = 1.0, None

    def update(self, pressed: Sequence[bool | int]) -> frozenset[Event]:
        """What is said by the buttons that went down since the last call."""
        down = frozenset(number for number, is_down in enumerate(pressed) if is_down)
        newly = frozenset() if self._down is None else down - self._down
        self._down = down
        if self.meaning.gripper in newly:
            self.opening = 1.0 - self.opening
        events = self.meaning.events()
        return frozenset(events[number] for number in newly if number in events)
