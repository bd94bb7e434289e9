"""`ocrrl approve`: an operator approves a number of episodes of a session; prints or writes a token."""

import argparse
import time
from pathlib import Path

from ocrrl.interface.cells import cell_to_approve
from ocrrl.robot.operator.approval import (
    APPROVAL_FILE_VARIABLE,
    DEFAULT_MINUTES,
    Clock,
    NotApproved,
    issue,
    write_token,
)
from ocrrl.robot.operator.operator_prompt import ask_operator, at_terminal
from ocrrl.tabletop.registry import tabletop_task


def add_arguments(parser: argparse.ArgumentParser) -> None:
    for name in ("cell", "session", "task"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--episodes", type=int, required=True, help="number of episodes that may begin")
    parser.add_argument("--operator", help="name of the person who approves; default: asked at the terminal")
    parser.add_argument("--minutes", type=float, help="minutes until it expires (default 15, at most 480)")
    parser.add_argument(
        "--cell-clear", action="store_true", help="ask no question: the operator has confirmed that the cell is clear"
    )
    parser.add_argument("--out", type=Path, help="write the token to this new file, readable by its owner only")


def run(options: argparse.Namespace) -> int:
    print(approve(options, time.time))  # the token, or where it was written
    return 0


def approve(options: argparse.Namespace, clock: Clock) -> str:
    """The token for what `options` name, or with `out` the file that it was written to.

    Without `cell_clear` an operator is asked at the terminal.
    """
    if options.out is not None and options.out.exists():
        raise ValueError(f"--out must be a new file, got {options.out}, which is there; remove it or name another")
    cell, task = cell_to_approve(options.cell).name, tabletop_task(options.task).slug
    operator, episodes = options.operator, options.episodes
    if options.cell_clear:
        if not operator:
            raise ValueError("--cell-clear must come with --operator, the name of who saw that the cell is clear")
    elif at_terminal():
        operator, episodes = ask_operator(cell, options.session, task, episodes, operator or "")
    else:
        raise NotApproved(
            "an operator must say that the cell is clear of people: at a terminal, where this asks, or by --cell-clear"
        )
    minutes = DEFAULT_MINUTES if options.minutes is None else options.minutes
    token = issue(cell, options.session, task, episodes, operator, clock, minutes)
    if options.out is None:
        return token
    write_token(options.out, token)
    return f"{options.out}: approved; name it to the session by `export {APPROVAL_FILE_VARIABLE}={options.out}`"
