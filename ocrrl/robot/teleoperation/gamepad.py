"""Driver of a gamepad through pygame: two sticks, a hat and shoulder buttons.

Layout of an Xbox pad under Linux, axes growing right and down. Left stick: forward and left. Shoulder buttons: up (right) and
down (left). Right stick: yaw (left and right) and pitch (forward tips the gripper forward). Hat, left and right: roll.
The right trigger, pressed more than half, takes over from a policy: until it is first touched, a trigger reads as half pressed.
pygame is imported when a pad is opened, without a window.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from jaxtyping import Float

from ocrrl.robot.teleoperation.axes import AxisConvention
from ocrrl.robot.teleoperation.buttons import Buttons
from ocrrl.robot.teleoperation.device import DeviceReading, Event

BUTTONS: Mapping[int, Event] = {3: "success", 2: "failure", 1: "discard", 7: "stop"}
"""Y, X, B and Start; A is `GRIPPER`."""
LEFT_X, LEFT_Y, RIGHT_X, RIGHT_Y, RIGHT_TRIGGER, HAT, DOWN_BUTTON, UP_BUTTON = 0, 1, 3, 4, 5, 0, 4, 5
"""Where an Xbox pad's axes, hat and shoulder buttons are; another make has other numbers."""
HALF_PRESSED = 0.2  # of a trigger's axis: above what it reads as untouched


class Pad(Protocol):
    """What is used of pygame's joystick."""

    def get_instance_id(self) -> int: ...

    def get_numaxes(self) -> int: ...

    def get_axis(self, axis_number: int, /) -> float: ...

    def get_button(self, button: int, /) -> bool: ...

    def get_hat(self, hat_number: int, /) -> tuple[float, float]: ...

    def get_numbuttons(self) -> int: ...

    def quit(self) -> None: ...


class PadEvents(Protocol):
    """Takes in what the pads sent; the instance ids of those that were unplugged since the last call."""

    def __call__(self) -> Sequence[int]: ...


class Gamepad:
    """`TeleoperationDevice` over an open pad."""

    def __init__(self, pad: Pad, unplugged: PadEvents, axes: AxisConvention | None = None) -> None:
        self._pad, self._unplugged = pad, unplugged
        self._axes, self._buttons = axes or AxisConvention(), Buttons(BUTTONS)
        self._id, self._lost = pad.get_instance_id(), False

    def begin(self, seed: int) -> None:
        self._buttons.begin()

    def read(self) -> DeviceReading:
        # An unplugged pad answers with its last state for ever: only its event tells.
        self._lost = self._lost or self._id in self._unplugged()
        if self._lost:
            raise RuntimeError("the gamepad must stay plugged in, it was unplugged; plug it in and start again")
        events = self._buttons.update([self._pad.get_button(k) for k in range(self._pad.get_numbuttons())])
        # In [-1, 1], and 0 before the first touch; a pad of another make may have none.
        take_over = self._pad.get_numaxes() > RIGHT_TRIGGER and self._pad.get_axis(RIGHT_TRIGGER) > HALF_PRESSED
        return DeviceReading(self._axes.motion(self._deflections(), self._buttons.opening), events, take_over)

    def follow(self, opening: float) -> None:
        self._buttons.opening = opening

    def end(self) -> None:
        pass

    def close(self) -> None:
        self._pad.quit()

    def _deflections(self) -> Float[np.ndarray, " 6"]:
        """Forward, left, up, roll, pitch, yaw in [-1, 1]."""
        pad = self._pad
        up = float(pad.get_button(UP_BUTTON)) - float(pad.get_button(DOWN_BUTTON))
        forward, left, roll = -pad.get_axis(LEFT_Y), -pad.get_axis(LEFT_X), pad.get_hat(HAT)[0]
        return np.array([forward, left, up, roll, -pad.get_axis(RIGHT_Y), -pad.get_axis(RIGHT_X)])


def open_gamepad(axes: AxisConvention | None = None) -> Gamepad:
    """The first gamepad that is plugged in; RuntimeError says what is missing."""
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pads are read through the event queue, which wants a screen
    os.environ.setdefault("SDL_JOYSTICK_ALLOW_BACKGROUND_EVENTS", "1")
    os.environ.setdefault("SDL_NO_SIGNAL_HANDLERS", "1")  # or SDL takes SIGTERM, and a `kill` ends nothing
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        import pygame
    except ImportError as error:
        raise RuntimeError(f"a gamepad needs pygame (`pip install pygame`), got: {error}") from error

    pygame.display.init()
    pygame.joystick.init()
    pygame.event.get()  # pads that are there already are announced too
    if pygame.joystick.get_count() == 0:
        raise RuntimeError("a gamepad must be plugged in and readable (group input), got none")

    def unplugged() -> list[int]:
        return [event.instance_id for event in pygame.event.get() if event.type == pygame.JOYDEVICEREMOVED]

    return Gamepad(pygame.joystick.Joystick(0), unplugged, axes)
