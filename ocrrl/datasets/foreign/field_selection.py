"""Where a number is in someone else's file: `key`, `key[0:3]`, `key[x,y,z]` (by name), or a list of those."""

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from ocrrl.datasets.episode_checks import EpisodeRejected

Selection = str | Sequence[str]
_FORM = re.compile(r"(?P<key>[^\[\]]+)(\[(?P<part>[^\[\]]+)\])?")
_RANGE = re.compile(r"(\d+):(\d+)")


def check_selection(name: str, selection: object) -> None:
    """Raise ValueError unless `selection` has one of the forms."""
    parts = [selection] if isinstance(selection, str) else selection
    if (
        not isinstance(parts, Sequence)
        or not parts
        or not all(isinstance(p, str) and _FORM.fullmatch(p) for p in parts)
    ):
        raise ValueError(f"{name} must be key, key[0:3], key[x,y] or a list of those, got {selection!r}")


def key_of(part: str) -> str:
    """The key of one part of a selection: `key` of `key[0:3]`."""
    return part.split("[", 1)[0]


def select(
    field: str,
    selection: Selection,
    read: Callable[[str], np.ndarray],
    size: int | None = None,
    names: Mapping[str, Sequence[str]] | None = None,
) -> Float[np.ndarray, "T n"]:
    """The numbers (T, n) that `selection` names; `read` gives a key's array (T, ...), `names` those of its numbers.

    Raises `EpisodeRejected` for `field` where a key or name is absent, or where n is not `size`.
    """
    columns = []
    for part in [selection] if isinstance(selection, str) else selection:
        if (form := _FORM.fullmatch(part)) is None:
            raise EpisodeRejected(field, "at key, key[0:3] or key[x,y]", repr(part))
        values = read(form["key"])
        values = np.asarray(values, np.float64).reshape(len(values), -1)
        columns.append(values[:, _columns(field, form, values.shape[1], names or {})])
    chosen = np.concatenate(columns, axis=-1)
    if size is not None and chosen.shape[1] != size:
        raise EpisodeRejected(field, f"{size} numbers ({selection})", f"{chosen.shape[1]}")
    return chosen


def _columns(field: str, form: re.Match, width: int, names: Mapping[str, Sequence[str]]) -> slice | list[int]:
    if form["part"] is None:
        return slice(None)
    if indices := _RANGE.fullmatch(form["part"]):
        start, stop = int(indices[1]), int(indices[2])
        if stop > width:
            raise EpisodeRejected(field, f"in {form['key']}[{start}:{stop}]", f"{width} numbers there")
        return slice(start, stop)
    known = list(names.get(form["key"], ()))
    wanted = [name.strip() for name in form["part"].split(",")]
    for name in wanted:
        if name not in known:
            raise EpisodeRejected(field, f"in {form['key']}[{name}]", f"the names {', '.join(known) or 'none'}")
    return [known.index(name) for name in wanted]
