"""Protocol of a teleoperation device: a motion per control step, and the operator's label."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from jaxtyping import Float

Event = Literal["success", "failure", "discard", "stop"]
"""The tabletop task is solved; it failed; the episode is worth nothing; the session is over."""


@dataclass(frozen=True)
class DeviceReading:
    """What the operator does at one control step."""

    motion: Float[np.ndarray, " 7"]
    """An action, in the units of `ocrrl.interface.actions`, within the step limits."""
    events: frozenset[Event] = frozenset()
    """Said since the last reading: a button that is held down says it once."""
    take_over: bool = False
    """The operator holds the button down with which they act in a policy's place; a recording session has no policy."""


class TeleoperationDevice(Protocol):
    """Read once a control step from one thread; never waits."""

    def begin(self, seed: int) -> None:
        """An episode begins, the fingers open: forget what was said before. A scripted device plans for `seed`."""
        ...

    def read(self) -> DeviceReading:
        """The motion and events of this step.

        Raises RuntimeError when the device is lost, and at every reading after that: a lost device asks for no motion.
        """
        ...

    def follow(self, opening: float) -> None:
        """A policy has commanded the fingers to `opening`: whoever takes over goes on from there."""
        ...

    def end(self) -> None:
        """The episode is over; the terminal is free for questions."""
        ...

    def close(self) -> None:
        """Let go of the device."""
        ...
