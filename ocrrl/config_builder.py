"""Builds a frozen dataclass from the values of a YAML file and checks each value against its field's type.

The fields' types may be text, numbers, true or false, None, paths, enumerations (by their members' names), tuples, lists,
sequences, mappings, `Literal`, unions of those and dataclasses of them.
"""

import dataclasses
import difflib
import math
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any

from ocrrl.printable import one_line

OPTIONAL = {"optional": True}
"""Metadata of a dataclass's field that is given, and written, only where its value is not the default."""
LARGEST_WHOLE_NUMBER = 2**53
"""Beyond, a whole number is not the same as a float."""
LARGEST_NUMBER = 1e12
"""No parameter in SI units, step, seed or weight is larger: a slip of the keyboard is."""
LONGEST_MESSAGE = 1500
LONGEST_SHOWN = 100
"""Characters of a wrong value that an error shows."""
MOST_LISTED = 20
_DECIMAL = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_LONGEST_NUMBER = 400  # characters; a float has at most 309 digits before its point
_LISTS = (tuple, list, Sequence)
_MAPPINGS = (dict, Mapping)
_KINDS = {
    str: ("text", "texts"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "true or false"),
    types.NoneType: ("null", "nulls"),
    Path: ("a path", "paths"),
}
"""What one value and several values of a type are called."""


class ParamsError(ValueError):
    """A file of parameters holds something that cannot be run with; said in one printable line, whatever the file holds."""

    def __init__(self, message: str) -> None:
        line = one_line(message)
        super().__init__(line if len(line) <= LONGEST_MESSAGE else f"{line[:LONGEST_MESSAGE]} ...")


def build(config: type, values: Any, where: str, complete: bool = True, places: Mapping[str, str] | None = None) -> Any:
    """`config(**values)`, each value converted to the type of its field; `complete`: defaults fill in `OPTIONAL` fields alone.

    Numbers that YAML reads as text (`1e-4`) become numbers where the field is one; whole numbers become floats, lists tuples.
    Raises ParamsError that begins with `where` and the key for an unknown, missing or wrong value. A ValueError of the
    dataclass's own, which begins with the field's name, becomes one too. `places` says by key which values stand elsewhere than
    in `where`.
    """
    places = places or {}
    fields = {field.name: field for field in dataclasses.fields(config) if field.init}
    if not isinstance(values, Mapping):
        raise ParamsError(f"{where.rstrip(':')} must be a mapping of {', '.join(fields)}, got {shown(values)}")
    for key in values:
        if key not in fields:
            raise ParamsError(
                f"{_at(places.get(key, where), key)} is no parameter; the parameters are {', '.join(fields)}{_nearest(key, fields)}"
            )
    absent = dataclasses.MISSING
    without_default = [name for name, f in fields.items() if f.default is f.default_factory is absent]
    needed = [name for name, f in fields.items() if not f.metadata.get("optional")] if complete else without_default
    if missing := [name for name in needed if name not in values]:
        next_step = "; `ocrrl params --preset default` writes every parameter" if complete else ""
        raise ParamsError(f"{_at(where, missing[0])} must be given{next_step}")
    hints = typing.get_type_hints(config)
    arguments = {
        key: typed(value, hints[key], _at(places.get(key, where), key), complete) for key, value in values.items()
    }
    try:
        return config(**arguments)
    except ValueError as error:
        name = re.split(r"\W", str(error), maxsplit=1)[0]
        raise ParamsError(f"{_before_a_name(places.get(name, where))}{error}") from error


def values_of(config: Any) -> dict[str, Any]:
    """The fields of a dataclass as params.yaml holds them: `OPTIONAL` ones only where they are not the default."""
    default = {f.name: f.default for f in dataclasses.fields(config) if f.metadata.get("optional")}
    return {k: v for k, v in dataclasses.asdict(config).items() if k not in default or v != default[k]}


def shown(value: Any) -> str:
    """`value` as an error shows it: printable and short."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 4 * LONGEST_SHOWN:
        return f"a whole number of {value.bit_length()} bits"
    if isinstance(value, list | dict) and len(value) > LONGEST_SHOWN:
        return f"a {'mapping' if isinstance(value, dict) else 'list'} of {len(value)} values"
    if isinstance(value, list | tuple):
        brackets = "[{}]" if isinstance(value, list) else "({})"
        text = brackets.format(", ".join(map(shown, value)))
    elif isinstance(value, dict):
        text = "{" + ", ".join(f"{shown(key)}: {shown(item)}" for key, item in value.items()) + "}"
    else:
        text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]} ..."


def listed(names: Iterable[Any]) -> str:
    """Names or keys of a file in a row, the first few of many."""
    names = list(names)
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return ", ".join(map(_name, names[:MOST_LISTED])) + more


def typed(value: Any, hint: Any, where: str, complete: bool = False) -> Any:
    """`value` as one of the type `hint`; `complete` as in `build`. Raises ParamsError that begins with `where`."""
    origin = typing.get_origin(hint) or hint
    if origin in (types.UnionType, typing.Union):
        return _one_of_several(value, hint, where, complete)
    if hint in (Any, object):
        return _any(value, where)
    if origin is typing.Literal:
        for choice in typing.get_args(hint):
            if value == choice and type(value) is type(choice):
                return choice
        raise _wrong(value, hint, where)
    if origin in _LISTS:
        return _list(value, hint, where, complete)
    if origin in _MAPPINGS:
        return _mapping(value, hint, where, complete)
    if isinstance(origin, type) and dataclasses.is_dataclass(origin):
        return value if isinstance(value, origin) else build(origin, value, where, complete)
    if isinstance(origin, type) and issubclass(origin, Enum):
        return typed(value, typing.Literal[tuple(origin.__members__)], where, complete) and origin[value]
    if origin is int:
        return _whole_number(value, where)
    if origin is float:
        return _number(value, where)
    if origin in (str, Path):
        return origin(_text(value, where))
    if origin not in (bool, types.NoneType):
        raise TypeError(f"{where}: fields of a parameter file must be of a type that YAML has, got {hint}")
    if not isinstance(value, origin):
        raise _wrong(value, hint, where)
    return value


def _text(value: Any, where: str) -> str:
    if isinstance(value, str):
        return value
    quotes = "; write it in quotes to make it text" if isinstance(value, bool | int | float | date) else ""
    raise ParamsError(f"{where} must be text, got {shown(value)}{quotes}")


def _whole_number(value: Any, where: str) -> int:
    number = _read_number(value)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if not isinstance(number, int):
        raise _wrong(value, int, where)
    if abs(number) > LARGEST_WHOLE_NUMBER:
        raise ParamsError(f"{where} must be a whole number within +-{LARGEST_WHOLE_NUMBER}, got {shown(value)}")
    return number


def _number(value: Any, where: str) -> float:
    number = _read_number(value)
    if number is None:
        raise _wrong(value, float, where)
    try:
        number = float(number)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ParamsError(f"{where} must be a finite number, got {shown(value)}")
    if abs(number) > LARGEST_NUMBER:
        raise ParamsError(f"{where} must be a number within +-{LARGEST_NUMBER:g}, got {shown(value)}")
    return number


def _read_number(value: Any) -> int | float | None:
    """The number that `value` is or, as text such as 1e-4, stands for; None for anything else."""
    if isinstance(value, int | float):
        return None if isinstance(value, bool) else value
    if not isinstance(value, str) or len(value) > _LONGEST_NUMBER or not _DECIMAL.fullmatch(value):
        return None
    return int(value) if value.lstrip("+-").isdigit() else float(value)


def _list(value: Any, hint: Any, where: str, complete: bool) -> Any:
    origin, inner = typing.get_origin(hint) or hint, typing.get_args(hint) or (Any, ...)
    if not isinstance(value, list | tuple):
        raise _wrong(value, hint, where)
    if origin is not tuple or inner[-1] is ...:
        inner = (inner[0],) * len(value)
    if len(value) != len(inner):
        raise _wrong(value, hint, where)
    items = [typed(v, h, f"{where}[{n}]", complete) for n, (v, h) in enumerate(zip(value, inner, strict=True))]
    return items if origin is list else tuple(items)


def _mapping(value: Any, hint: Any, where: str, complete: bool) -> dict:
    key_hint, item_hint = typing.get_args(hint) or (str, Any)
    if not isinstance(value, Mapping):
        raise _wrong(value, hint, where)
    keys = {key: typed(key, key_hint, f"{where}'s key {_name(key)}", complete) for key in value}
    return {keys[key]: typed(item, item_hint, _at(where, key), complete) for key, item in value.items()}


def _any(value: Any, where: str) -> Any:
    """What YAML and JSON both have: text, finite numbers, true, false, null, lists and mappings with keys of text."""
    if isinstance(value, Mapping):
        return _mapping(value, Mapping[str, Any], where, False)
    if isinstance(value, list | tuple):
        return [_any(item, f"{where}[{number}]") for number, item in enumerate(value)]
    if isinstance(value, float | int) and not isinstance(value, bool):
        return (_whole_number if isinstance(value, int) else _number)(value, where)
    if value is not None and not isinstance(value, str | bool):
        raise ParamsError(f"{where} must be text, a number, true, false, null, a list or a mapping, got {shown(value)}")
    return value


def _one_of_several(value: Any, hint: Any, where: str, complete: bool) -> Any:
    members = typing.get_args(hint)
    for member in members:
        if type(value) is member:
            return typed(value, member, where, complete)
    inner = None
    for member in members:
        try:
            return typed(value, member, where, complete)
        except ParamsError as error:
            if len(members) == 1 + (type(None) in members) and member is not type(None):
                raise
            if not str(error).startswith(f"{where} "):
                inner = error  # it names a value inside of `value`, which thus has the form of this member
    raise inner or _wrong(value, hint, where)


def _wrong(value: Any, hint: Any, where: str) -> ParamsError:
    return ParamsError(f"{where} must be {_described(hint)}, got {shown(value)}")


def _described(hint: Any, several: bool = False) -> str:
    """What a value of type `hint` is called: `a whole number`, or `whole numbers` for `several`."""
    origin, inner = typing.get_origin(hint) or hint, typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(_described(member, several) for member in inner)
    if origin is typing.Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin is tuple and inner and inner[-1] is not ...:
        kinds = {_described(member, several=True) for member in inner}
        return f"{'lists' if several else 'a list'} of {len(inner)} {kinds.pop() if len(kinds) == 1 else 'values'}"
    if origin in _LISTS:
        return f"{'lists' if several else 'a list'} of {_described(inner[0], several=True) if inner else 'values'}"
    if origin in _MAPPINGS:
        return (
            f"{'mappings' if several else 'a mapping'} of names to {_described(inner[1], True) if inner else 'values'}"
        )
    if isinstance(origin, type) and dataclasses.is_dataclass(origin):
        return f"{'mappings' if several else 'a mapping'} of {', '.join(f.name for f in dataclasses.fields(origin))}"
    return _KINDS.get(origin, ("a value", "values"))[several]


def _at(where: str, key: Any) -> str:
    """`key` in the place `where`: `where.key`, after a file's name and a colon `file: key`."""
    return _before_a_name(where) + _name(key)


def _before_a_name(where: str) -> str:
    return f"{where} " if where.endswith(":") else f"{where}." if where else ""


def _name(key: Any) -> str:
    return key if isinstance(key, str) and key.isprintable() and len(key) <= LONGEST_SHOWN else shown(key)


def _nearest(key: Any, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(key, known, n=1) if isinstance(key, str) and len(key) < LONGEST_SHOWN else []
    return f"; did you mean {close[0]}?" if close else ""
