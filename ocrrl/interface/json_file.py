"""Reads foreign JSON files; an error names the file in one line."""

import json
import math
from pathlib import Path
from typing import Any

MAX_JSON_BYTES = 64 * 2**20
"""The largest JSON file of a model that is read; a tokenizer's vocabulary has some 20 MB."""

FETCH = "fetch the model again (`dvc pull`, or copy its whole folder)"
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def require_content(path: Path, remedy: str = FETCH) -> None:
    """FileNotFoundError where no regular file is at `path`; ValueError for an unreadable one, or a Git LFS pointer."""
    try:
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} must be a file, got {'another kind of entry' if path.exists() else 'nothing'} there; {remedy}"
            )
        with path.open("rb") as file:
            head = file.read(len(_LFS_POINTER))
    except PermissionError as error:
        raise ValueError(f"{path} must be readable by this user, got: {error.strerror}") from error
    if head == _LFS_POINTER:
        raise ValueError(
            f"{path} must be the file itself, got a Git LFS pointer to it; fetch it with `git lfs pull` in its repository"
        )


def read_json_object(path: Path, remedy: str = FETCH) -> dict[str, Any]:
    """The JSON object in `path`.

    Raises FileNotFoundError for a missing file, ValueError for a Git LFS pointer, a file above `MAX_JSON_BYTES`, text that is
    no JSON (NaN and infinity are none), a key given twice, or another value than an object.
    """
    value = read_json(path, remedy=remedy)
    if not isinstance(value, dict):
        raise ValueError(f"{path} must hold a JSON object, got {said(value)}")
    return value


def read_json(path: Path, strict: bool = True, most_bytes: int = MAX_JSON_BYTES, remedy: str = FETCH) -> Any:
    """The JSON value in `path`; errors as of `read_json_object`. Without `strict` NaN and repeated keys are taken."""
    require_content(path, remedy)
    size = path.stat().st_size
    if size > most_bytes:
        raise ValueError(f"{path} must be of at most {most_bytes / 2**20:.0f} MiB, got {size / 2**20:.0f}; {remedy}")
    try:
        text = path.read_bytes().decode("utf-8")
        if strict:
            return json.loads(text, object_pairs_hook=unique_keys, parse_constant=_refuse_constant, parse_float=_finite)
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # a JSONDecodeError and a UnicodeDecodeError are ValueErrors
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        state = "an empty file" if not size else why
        raise ValueError(f"{path} must be JSON, got {state}; is the file cut? {remedy}") from error


def said(value: object) -> str:
    """`value` in an error: its repr, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For `json.loads`: a JSON object as a mapping; ValueError for a key that is given twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} twice")
    return found


def _refuse_constant(name: str) -> float:
    raise ValueError(f"the number {name}")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text}, which no float holds")
    return number
