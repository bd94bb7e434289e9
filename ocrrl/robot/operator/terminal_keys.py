"""Keys that count the moment they are pressed, while an arm moves and nobody waits for a line to be typed.

While it listens the terminal is in cbreak mode; it is restored when that ends. A killed process leaves it as it was: type
`stty sane`.
"""

import contextlib
import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable

WAIT = 0.05  # [s] for a key, before looking whether listening has ended


class TerminalKeys:
    """Listens in a thread between `begin` and `end`; `pressed` holds what was typed since `begin`, in small letters."""

    def __init__(self, terminal: int | None = None, heard: Callable[[bytes], object] = lambda typed: None) -> None:
        """`terminal` is a terminal's file descriptor, stdin's if None; RuntimeError where it is no terminal.

        `heard` is given what was typed, as it came, once it counts.
        """
        with contextlib.suppress(OSError, ValueError):  # an input without a file, or a closed one
            terminal = sys.stdin.fileno() if terminal is None else terminal
        if terminal is None or not os.isatty(terminal):
            raise RuntimeError("an operator must have a terminal to stop the arm from, got an input that is none")
        self._terminal, self._heard = terminal, heard
        self._before: list[object] | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self.pressed: frozenset[str] = frozenset()

    def begin(self) -> None:
        """Listen; what was typed before is forgotten, unless it listens already: a stop must not be.

        RuntimeError where the terminal was closed.
        """
        if self._thread is None:
            self.pressed = frozenset()
            try:
                self._before = termios.tcgetattr(self._terminal)
                tty.setcbreak(self._terminal, termios.TCSAFLUSH)
            except termios.error as error:
                raise RuntimeError(
                    f"the terminal must stay open, to stop the arm from, it was closed ({error})"
                ) from error
            self._over.clear()
            self._thread = threading.Thread(target=self._listen, name="keys", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Stop listening; the terminal is free for questions."""
        if self._thread is not None:
            self._over.set()
            self._thread.join()
            self._thread = None
            with contextlib.suppress(termios.error):  # a terminal that was closed needs nothing restored
                termios.tcsetattr(self._terminal, termios.TCSADRAIN, self._before)  # pyright: ignore[reportArgumentType]

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                if not select.select([self._terminal], [], [], WAIT)[0]:
                    continue
                typed = os.read(self._terminal, 64)
            except (OSError, ValueError):  # hung up, or its descriptor is gone
                typed = b""
            # A terminal that was closed can no longer stop the arm.
            self.pressed |= set(typed.decode(errors="replace").lower()) if typed else {CLOSED}
            if not typed:
                return
            self._heard(typed)


CLOSED = "closed"
"""In `pressed` when the terminal was closed."""
