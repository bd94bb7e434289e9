"""The person at the cell, as a recording session asks them."""

from typing import Literal, Protocol

from ocrrl.robot.operator.operator_prompt import Ask, ask_at_terminal

Label = Literal["success", "failure", "discard"]
SILENCES = 3  # an Enter that slipped throws no demonstration away, and a terminal that is gone is not asked for ever
_ANSWERS: dict[str, Label] = {"s": "success", "f": "failure", "d": "discard"}


class Operator(Protocol):
    """Answers before an arm moves and after an episode; whoever does not answer lets nothing move."""

    name: str

    def confirm(self, question: str) -> bool:
        """Whether to go on; False ends the session."""
        ...

    def label(self, question: str) -> Label | None:
        """How an episode went that ended without a word; None where nobody answers."""
        ...


class TerminalOperator:
    """`Operator` at the terminal."""

    def __init__(self, name: str, ask: Ask = ask_at_terminal) -> None:
        self.name, self._ask = name, ask

    def confirm(self, question: str) -> bool:
        """`y` goes on; `q`, or nobody there to answer, does not."""
        while True:
            answer = self._ask(f"{question} [y: go on, q: end the session] ").lower()
            if answer in ("y", "yes"):
                return True
            if answer in ("", "q"):
                return False

    def label(self, question: str) -> Label | None:
        """One of the three; nobody is there to answer where nothing is said `SILENCES` times in a row."""
        silent = 0
        while silent < SILENCES:
            answer = self._ask(f"{question} [s: success, f: failure, d: discard] ").lower()
            if answer in _ANSWERS:
                return _ANSWERS[answer]
            silent = 0 if answer else silent + 1
        return None
