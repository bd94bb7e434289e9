"""A hardware cell's operator at a terminal: asked before each episode, able to stop the arm at any moment."""

from collections.abc import Callable

from ocrrl.interface.protocols import Abort
from ocrrl.robot.operator.cell_operator import EndedByOperator
from ocrrl.robot.operator.operator_prompt import Ask, ask_at_terminal
from ocrrl.robot.operator.terminal_keys import CLOSED, TerminalKeys

SUCCESS, FAILURE = "s", "f"
STOP_KEYS = (" ", "q")
STOP = frozenset({*STOP_KEYS, CLOSED})
LEGEND = "s: it succeeded, f: it failed, SPACE or q: stop the arm"


class OperatorAtTerminal:
    """A `robot.operator.cell_operator.CellOperator` at the terminal; without an answer nothing moves."""

    def __init__(
        self,
        keys: TerminalKeys | None = None,
        ask: Ask = ask_at_terminal,
        describe: Callable[[int], str] = lambda seed: "",
    ) -> None:
        """`describe` says what the initial state of a seed is, in whole lines; RuntimeError without a terminal."""
        self._keys, self._ask, self._describe = keys or TerminalKeys(), ask, describe
        self._confirmed = False

    def clear(self) -> None:
        self._confirm("Hands off the table? The fingers open and the arm goes home; SPACE stops it.")

    def set_up(self, seed: int) -> None:
        heard = self._keys.pressed
        moving = self._confirmed and not heard & STOP
        self._keys.end()
        self._confirmed = False  # from here on no key is heard until the operator has answered
        if not moving:
            if heard & {*STOP_KEYS}:
                raise EndedByOperator("the operator stopped the arm on its way home")
            raise RuntimeError("the terminal was closed while the arm went home")
        self._confirm(f"{self._describe(seed)}Set the table for initial state {seed}, then hands off. {LEGEND}.")

    def enabled(self) -> bool:
        return self._confirmed and not self._keys.pressed & STOP

    def solved(self) -> bool:
        """A key that was pressed stays so; `f` takes `s` back."""
        return SUCCESS in self._keys.pressed and FAILURE not in self._keys.pressed

    def said_solved(self) -> bool:
        return self.solved()

    def ended(self) -> Abort | None:
        """A terminal that was closed is a fault: nobody meant it, and it says nothing of the policy."""
        pressed = self._keys.pressed
        if pressed & {*STOP_KEYS}:
            return Abort("operator", "the operator stopped the arm")
        if FAILURE in pressed:
            return Abort("operator", "the operator labelled it a failure")
        return Abort("fault", "the terminal that the arm is stopped from was closed") if CLOSED in pressed else None

    def stopped_arm(self, fault: str) -> bool:
        """Anything but a plain no is a yes: what nobody answers for is not taken for a mere fault."""
        self._keys.end()
        self._confirmed = False
        question = (
            f"The arm was lost: {fault}.\nDid you stop it yourself, with the emergency stop? [n: no, it was a fault] "
        )
        return self._ask(question).lower() not in ("n", "no")

    def close(self) -> None:
        self._confirmed = False
        self._keys.end()

    def _confirm(self, question: str) -> None:
        """Ask, and listen from then on."""
        self._keys.end()
        self._confirmed = False
        if self._ask(f"{question} [y: continue, else the session ends] ").lower() not in ("y", "yes"):
            raise EndedByOperator("the operator ended the session")
        self._keys.begin()
        self._confirmed = True
