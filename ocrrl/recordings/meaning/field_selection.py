"""Reads the numbers that a selection of a mapping names."""

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.interface.field_selection import FORM, FORMS, INDEX, RANGE, Selection, parts_of

LARGEST = 1e9
"""No unit of a length, an angle or a gripper makes larger numbers; beyond, arithmetic overflows."""


def select(
    field: str,
    selection: Selection,
    read: Callable[[str], np.ndarray],
    size: int | tuple[int, ...] | None = None,
    names: Mapping[str, Sequence[str]] | None = None,
) -> Float[np.ndarray, "T n"]:
    """The numbers (T, n) that `selection` names; `read` gives a key's array (T, ...), `names` those of its numbers.

    Raises `EpisodeRejected` for `field` where a key or name is absent, where keys have different lengths, where a number
    is beyond all measure, or where n is none of `size`.
    """
    columns: list[np.ndarray] = []
    for part in parts_of(selection):
        if (form := FORM.fullmatch(part)) is None:
            raise EpisodeRejected(field, f"at {FORMS}", repr(part))
        values = read(form["key"])
        if values.ndim == 0:
            raise EpisodeRejected(field, f"a number a row at {form['key']}", "a single number")
        values = np.asarray(values, np.float64).reshape(len(values), -1 if values.size else 0)
        if columns and len(values) != len(columns[0]):
            raise EpisodeRejected(field, f"{len(columns[0])} rows of {form['key']}", f"{len(values)}")
        columns.append(values[:, _columns(field, form, values.shape[1], names or {})])
    chosen = np.concatenate(columns, axis=-1)
    largest = np.abs(np.where(np.isfinite(chosen), chosen, 0.0)).max(initial=0.0)
    if largest > LARGEST:
        raise EpisodeRejected(field, f"of numbers within {LARGEST:g}", f"{largest:.3g}")
    sizes = (size,) if isinstance(size, int) else size
    if sizes is not None and chosen.shape[1] not in sizes:
        shown = selection if isinstance(selection, str) else ", ".join(selection)
        raise EpisodeRejected(field, f"{' or '.join(map(str, sizes))} numbers ({shown})", f"{chosen.shape[1]}")
    return chosen


def _columns(field: str, form: re.Match, width: int, names: Mapping[str, Sequence[str]]) -> slice | list[int]:
    if form["part"] is None:
        return slice(None)
    part = form["part"].strip()
    known = [str(name) for name in names.get(form["key"], ())]
    if indices := RANGE.fullmatch(part):
        start, stop = int(indices[1]), int(indices[2])
        if stop > width or start >= stop:
            raise EpisodeRejected(field, f"in {form['key']}[{start}:{stop}]", f"{width} numbers there")
        return slice(start, stop)
    if INDEX.fullmatch(part) and part not in known:
        if int(part) >= width:
            raise EpisodeRejected(field, f"in {form['key']}[{part}]", f"{width} numbers there")
        return [int(part)]
    wanted = [name.strip() for name in part.split(",")]
    for name in wanted:
        if name not in known:
            use = f" (no names there: use ranges such as {form['key']}[0:{len(wanted)}])" if not known else ""
            raise EpisodeRejected(field, f"in {form['key']}[{name}]", f"the names {', '.join(known) or 'none'}{use}")
        if known.count(name) > 1:
            raise EpisodeRejected(field, f"one number of the name {name} in {form['key']}", f"{known.count(name)}")
        if known.index(name) >= width:
            raise EpisodeRejected(field, f"in {form['key']}[{name}]", f"{width} numbers there for {len(known)} names")
    return [known.index(name) for name in wanted]
