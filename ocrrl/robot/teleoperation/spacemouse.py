"""Driver of a 3Dconnexion SpaceMouse through pyspacemouse: six axes.

Its axes in pyspacemouse's ROS convention (x forward, y left, z up, and turns about them) are the deflections as they are.
pyspacemouse is imported when a device is opened; on Linux it needs libhidapi-hidraw0 and read access to /dev/hidraw*.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from ocrrl.robot.teleoperation.axes import AxisConvention
from ocrrl.robot.teleoperation.buttons import Buttons
from ocrrl.robot.teleoperation.device import DeviceReading, Event

BUTTONS: Mapping[int, Event] = {1: "discard"}
"""Of a device with two buttons, the other of which is `GRIPPER`; success and failure are said with keys."""
TAKE_OVER = 1
"""The same button takes over from a policy while it is held: a rollout has nothing to discard."""
PAUSE = 0.2  # [s] without a reading, after which only what the hand does from then on moves the arm
_REPORTS = 64  # at most so many a reading: a device sends a few in a control period


class State(Protocol):
    """What is used of pyspacemouse's state."""

    t: float
    x: float
    y: float
    z: float
    roll: float
    pitch: float
    yaw: float

    @property
    def buttons(self) -> Sequence[int]: ...


class Mouse(Protocol):
    """What is used of pyspacemouse's device."""

    def read(self) -> State: ...

    def close(self) -> None: ...


class SpaceMouse:
    """`TeleoperationDevice` over an open SpaceMouse."""

    def __init__(
        self,
        mouse: Mouse,
        axes: AxisConvention | None = None,
        buttons: Mapping[int, Event] = BUTTONS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` [s] tells how long nobody has read."""
        self._mouse, self._axes, self._buttons, self._clock = mouse, axes or AxisConvention(), Buttons(buttons), clock
        self._lost = ""
        self._read_at, self._old = -np.inf, np.nan

    def begin(self, seed: int) -> None:
        self._buttons.begin()
        self._read_at = -np.inf

    def read(self) -> DeviceReading:
        if self._lost:
            raise RuntimeError(self._lost)
        try:
            state = self._latest()
        except Exception as error:  # easyhid's exceptions share no base with Python's own
            self._lost = f"the SpaceMouse must stay plugged in, reading it failed: {error}; plug it in and start again"
            raise RuntimeError(self._lost) from error
        events = self._buttons.update(state.buttons)
        # A queue that nobody empties keeps old reports and drops the one that says the puck was let go.
        now = self._clock()
        if now - self._read_at > PAUSE:
            self._old = state.t
        self._read_at = now
        deflections = np.array([state.x, state.y, state.z, state.roll, state.pitch, state.yaw])
        fresh = state.t != self._old
        take_over = fresh and any(state.buttons[TAKE_OVER : TAKE_OVER + 1])
        return DeviceReading(self._axes.motion(deflections * fresh, self._buttons.opening), events, take_over)

    def follow(self, opening: float) -> None:
        self._buttons.opening = opening

    def end(self) -> None:
        pass

    def close(self) -> None:
        self._mouse.close()

    def _latest(self) -> State:
        """The newest report: each `read` takes one from a queue, and the oldest would be a hand's motion of long ago."""
        state, seen = self._mouse.read(), None
        for _ in range(_REPORTS):
            if state.t == seen:
                break
            seen = state.t
            state = self._mouse.read()
        return state


def open_spacemouse(axes: AxisConvention | None = None) -> SpaceMouse:
    """The SpaceMouse that is plugged in; RuntimeError says what is missing."""
    try:
        import pyspacemouse

        mouse = pyspacemouse.open(axis_convention=pyspacemouse.AxisConvention.ROS)
    except (ImportError, OSError, RuntimeError) as error:
        raise RuntimeError(
            f"a SpaceMouse must be plugged in and readable, got: {error}; needed are `pip install pyspacemouse`, "
            "libhidapi-hidraw0 and a udev rule that lets you read /dev/hidraw*"
        ) from error
    return SpaceMouse(mouse, axes)
