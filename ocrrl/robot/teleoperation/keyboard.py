"""Keys at the terminal that say how an episode went, beside a device that moves the arm.

During an episode the terminal is in cbreak mode, so that a key counts at once; it is restored at the episode's end, however
that comes. A killed process leaves it as it was: type `stty sane`.
"""

import os
import select
import sys
import termios
import tty

from ocrrl.robot.teleoperation.device import DeviceReading, Event, TeleoperationDevice

KEYS: dict[str, Event] = {"s": "success", "f": "failure", "d": "discard", "q": "stop"}


class LabelledByKeys:
    """`TeleoperationDevice`: the motion and events of another, and the events of the keys `KEYS`."""

    def __init__(self, device: TeleoperationDevice, terminal: int | None = None) -> None:
        """`terminal` is a terminal's file descriptor, stdin's if None; RuntimeError where it is no terminal."""
        self._device = device
        self._terminal = sys.stdin.fileno() if terminal is None else terminal
        if not os.isatty(self._terminal):
            raise RuntimeError("success and failure are said with keys at a terminal, got an input that is none")
        self._before: list[object] | None = None

    def begin(self, seed: int) -> None:
        self._device.begin(seed)
        if self._before is None:
            self._before = termios.tcgetattr(self._terminal)
            tty.setcbreak(self._terminal, termios.TCSAFLUSH)  # and forget what was typed before

    def read(self) -> DeviceReading:
        reading, events = self._device.read(), set()
        while self._before is not None and select.select([self._terminal], [], [], 0.0)[0]:
            typed = os.read(self._terminal, 64)
            if not typed:
                raise RuntimeError("the terminal must stay open during an episode, it was closed")
            events |= {KEYS[key] for key in typed.decode(errors="replace").lower() if key in KEYS}
        return DeviceReading(reading.motion, reading.events | events)

    def end(self) -> None:
        if self._before is not None:
            termios.tcsetattr(self._terminal, termios.TCSADRAIN, self._before)  # pyright: ignore[reportArgumentType]
            self._before = None
        self._device.end()

    def close(self) -> None:
        self.end()
        self._device.close()
