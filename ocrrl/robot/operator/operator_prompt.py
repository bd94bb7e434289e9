"""Questions for an operator before a robot may move, on stderr; stdout stays free."""

import sys
from collections.abc import Callable

from ocrrl.interface.cells import Cell, cell_named
from ocrrl.robot.operator.approval import Approval, Clock, NotApproved, check, issue, take_token

Ask = Callable[[str], str]
"""A question to its answer; an empty answer where nobody answers."""


def at_terminal() -> bool:
    """Whether somebody can read a question and answer it."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask_at_terminal(question: str) -> str:
    """`Ask` at the terminal; the end of input, or a terminal that is gone, is an empty answer."""
    try:
        print(question, end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip()
    except OSError:
        return ""


def ask_operator(
    cell: str,
    session: str,
    tabletop_task: str,
    episodes: int,
    operator: str = "",
    ask: Ask = ask_at_terminal,
    purpose: str = "",
) -> tuple[str, int]:
    """The operator's name and how many episodes they approve; NotApproved unless every answer allows motion.

    `episodes` and `operator` are what an empty answer stands for; without `operator` a name must be typed. `purpose` is a line
    on what the episodes are for.
    """
    about = f"cell {cell}, session {session}, tabletop task {tabletop_task}"
    what = f"{about} ({cell_named(cell).stands_for})\n{f'{purpose}{chr(10)}' if purpose else ''}"
    if ask(f"{what}Is the cell clear of people? [y/N] ").lower() not in ("y", "yes"):
        raise NotApproved(f"{about} was not approved: the cell must be clear of people")
    name = ask(f"Who are you? {f'[{operator}] ' if operator else ''}") or operator
    if not name:
        raise NotApproved(f"{about} was not approved: an operator must give a name")
    number = ask(f"How many episodes may begin? [{episodes}] ") or str(episodes)
    if not number.isdecimal() or int(number) < 1:
        raise NotApproved(f"{about} was not approved: the number of episodes must be at least 1, got {number!r}")
    typed = ask(f"Type the cell's name to let {number} episodes begin: ")
    if typed != cell:
        raise NotApproved(f"{about} was not approved: the cell's name must be typed, got {typed!r}")
    return name, int(number)


def obtain_approval(
    cell: Cell, session: str, tabletop_task: str, episodes: int, clock: Clock, purpose: str = ""
) -> Approval | None:
    """The approval that the environment hands over, or an operator gives at the terminal; else NotApproved.

    None where no robot moves and none is needed. `purpose` as of `ask_operator`.
    """
    if not cell.needs_approval:
        return None
    token = take_token()
    if token is None and at_terminal():
        operator, approved = ask_operator(cell.name, session, tabletop_task, episodes, purpose=purpose)
        token = issue(cell.name, session, tabletop_task, approved, operator, clock)
    return check(token, cell.name, session, tabletop_task, episodes, clock)
