"""Selections of numbers by text: `key`, `key[3]`, `key[0:3]`, `key[x,y,z]` (by name), or a list of those."""

import re
from collections.abc import Sequence

Selection = str | tuple[str, ...]
FORMS = "key, key[3], key[0:3], key[x,y] or a list of those"
FORM = re.compile(r"(?P<key>[^\[\]]+)(\[(?P<part>[^\[\]]+)\])?")
RANGE = re.compile(r"(\d+):(\d+)")
_NUMERIC = re.compile(r"[-+\d:.,\s]*:[-+\d:.,\s]*|[-+]?\d+(\.\d*)?")
INDEX = re.compile(r"\d+")


def check_selection(name: str, selection: object) -> None:
    """Raise ValueError unless `selection` has one of the forms."""
    parts = [selection] if isinstance(selection, str) else selection
    if not isinstance(parts, Sequence) or not parts or not all(isinstance(p, str) and p.strip() for p in parts):
        raise ValueError(f"{name} must be {FORMS}, got {selection!r}")
    for part in parts:
        if (form := FORM.fullmatch(part)) is None:
            raise ValueError(f"{name} must be {FORMS}, got {selection!r}")
        if form["part"] is not None and (wrong := _wrong_part(form["part"].strip())):
            raise ValueError(f"{name} must be {FORMS}, got {part!r} ({wrong})")


def _wrong_part(part: str) -> str | None:
    """What is wrong with the text between brackets, or None."""
    if indices := RANGE.fullmatch(part):
        start, stop = int(indices[1]), int(indices[2])
        return None if start < stop else f"an empty range: from {start} to before {stop}"
    if INDEX.fullmatch(part):
        return None
    if _NUMERIC.fullmatch(part):
        return "a range is two whole numbers from 0 on, such as 0:3"
    return None if all(name.strip() for name in part.split(",")) else "a name is empty"


def parts_of(selection: Selection) -> list[str]:
    """The parts of `selection`, one text each."""
    return [selection] if isinstance(selection, str) else list(selection)


def key_of(part: str) -> str:
    """The key of one part of a selection: `key` of `key[0:3]`."""
    return part.split("[", 1)[0]


def one_by_one(selection: Selection) -> list[str] | None:
    """The parts that select each number by itself; None where a part's width is not told by its text."""
    single: list[str] = []
    for part in parts_of(selection):
        form = FORM.fullmatch(part)
        if form is None or form["part"] is None:
            return None
        if indices := RANGE.fullmatch(form["part"]):
            single += [f"{form['key']}[{k}]" for k in range(int(indices[1]), int(indices[2]))]
        else:
            single += [f"{form['key']}[{name.strip()}]" for name in form["part"].split(",")]
    return single
