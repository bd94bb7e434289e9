"""A stop key beside LeRobot, which drives the loop and may listen at the same terminal.

Two who read one terminal get each a part of the keys, so that LeRobot is given a terminal of its own in its place (a pty), and
every key that was heard here is passed on to it.
"""

import contextlib
import os
import sys
import termios

from ocrrl.robot.operator.terminal_keys import CLOSED, TerminalKeys

STOP = frozenset({" ", CLOSED})
"""Not `q`, which is LeRobot's own for an end that keeps the episode."""


class StopKey:
    """SPACE, or the end of the terminal, between `begin` and `close`; it stays pressed."""

    def __init__(self, terminal: int | None = None) -> None:
        """`terminal` is the file descriptor that LeRobot reads keys from, stdin's if None; RuntimeError if it is no terminal."""
        TerminalKeys(terminal)
        self._replaced = sys.stdin.fileno() if terminal is None else terminal
        self._terminal = self._ours = -1
        self._keys: TerminalKeys | None = None

    @property
    def pressed(self) -> bool:
        """Whether the operator has stopped the arm."""
        return self._keys is not None and bool(self._keys.pressed & STOP)

    def begin(self) -> None:
        """Listen, and put a terminal of LeRobot's own in place of the operator's."""
        self._terminal = os.dup(self._replaced)
        self._ours, theirs = os.openpty()
        os.set_blocking(self._ours, False)
        # LeRobot sets it back to what it found, by when the operator's is in its place again.
        termios.tcsetattr(theirs, termios.TCSANOW, termios.tcgetattr(self._terminal))
        os.dup2(theirs, self._replaced)
        os.close(theirs)
        self._keys = TerminalKeys(self._terminal, self._pass_on)
        self._keys.begin()

    def close(self) -> None:
        """Listen no more; the operator's terminal is as it was."""
        if self._terminal >= 0 and self._keys is not None:
            self._keys.end()
            os.dup2(self._terminal, self._replaced)
            for descriptor in (self._terminal, self._ours):
                os.close(descriptor)
            self._terminal = self._ours = -1

    def _pass_on(self, typed: bytes) -> None:
        with contextlib.suppress(
            OSError
        ):  # nobody reads there, and its buffer is full: the next stop must be heard all the same
            os.write(self._ours, typed)
