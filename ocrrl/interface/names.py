"""The pattern for names that become part of a path or command line.

Rounds, sessions, tabletop tasks, domains, cells and cameras. A name that keeps to the pattern cannot leave its folder, cannot
be taken for an option, and means nothing to a shell.
"""

import re

LONGEST_NAME = 80
NAME = re.compile(rf"[a-z0-9][a-z0-9_-]{{0,{LONGEST_NAME - 1}}}")
NAMES_ARE = f"a name of 1 to {LONGEST_NAME} lower-case letters, digits, '_' or '-' that begins with a letter or digit"


def is_name(value: object) -> bool:
    """Whether `value` is a text that keeps to the pattern."""
    return isinstance(value, str) and NAME.fullmatch(value) is not None


def require_name(what: str, value: object) -> None:
    """ValueError that begins with `what` unless `value` is a name."""
    if not is_name(value):
        raise ValueError(f"{what} must be {NAMES_ARE}, got {shown(value)}")


def require_seed(what: str, value: object) -> None:
    """ValueError that begins with `what` unless `value` is a whole number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{what} must be a whole number of at least 0, got {shown(value)}")


def shown(value: object) -> str:
    """`value` for a message: on one line, control characters escaped, cut short where it is long."""
    text = repr(value)
    return text if len(text) <= 2 * LONGEST_NAME else f"{text[: 2 * LONGEST_NAME]}..."
