"""Protocol of a cell's operator: sets the table, labels the episode, may end it at any moment."""

from typing import Protocol

from ocrrl.interface.protocols import Abort


class EndedByOperator(RuntimeError):
    """The operator ended the session, or stopped the arm on its way home: nothing has failed."""


class CellOperator(Protocol):
    """A person, or what stands in for one in a twin."""

    def clear(self) -> None:
        """Make way: returns when the arm may open its fingers and go home.

        Raises EndedByOperator when the operator ends the session instead.
        """
        ...

    def set_up(self, seed: int) -> None:
        """Set the table for the initial state `seed`; returns when the episode may begin. EndedByOperator likewise."""
        ...

    def enabled(self) -> bool:
        """Whether the arm may move at this moment; asked by the watchdog, twice a control period."""
        ...

    def solved(self) -> bool:
        """Whether the tabletop task is solved at this moment; success is judged by the operator, never by a policy."""
        ...

    def said_solved(self) -> bool:
        """Whether they have called the episode a success and not taken it back: unlike `solved` it need not last to count."""
        ...

    def ended(self) -> Abort | None:
        """What ends this episode: their word, or that they cannot be heard any more; None while it may go on."""
        ...

    def stopped_arm(self, fault: str) -> bool:
        """Whether it was they who took the arm out of reach, with the emergency stop: that looks like a lost connection."""
        ...

    def close(self) -> None:
        """The session is over."""
        ...
