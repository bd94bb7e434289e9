"""Writes a frozen dataclass as a JSON file and reads it back; an error names file, field and remedy."""

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from ocrrl.config_builder import build, shown
from ocrrl.files import write_json
from ocrrl.interface.json_file import read_json

MOST_BYTES = 10 * 2**20
VERSION = "format_version"


def write_dataclass(path: Path, value: Any, version: int) -> None:
    """Write `value` to `path`, whole or not at all."""
    write_json(path, {VERSION: version, **_content(value)})


def read_dataclass[T](path: Path, kind: type[T], version: int | None, remedy: str) -> T:
    """The `kind` that `write_dataclass` wrote to `path`; `version` is None for a file without one.

    Raises FileNotFoundError, or ValueError that names the file, the field, what it must be, what was got, and the `remedy`.
    """
    content = read_json(path, strict=False, most_bytes=MOST_BYTES, remedy=remedy)
    try:
        if isinstance(content, dict) and (found := content.pop(VERSION, None)) != version:
            raise ValueError(f"{path}: {VERSION} must be {version}, got {shown(found)}")
        value = build(kind, content, f"{path}:", complete=False)
        if wrong := _difference(content, _content(value)):
            raise ValueError(f"{path}: {wrong}")
    except ValueError as error:
        raise ValueError(f"{error}: {remedy}") from error
    return value


def _content(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _content(getattr(value, field.name)) for field in fields(value) if field.init}
    return list(value) if isinstance(value, tuple) else value


def _difference(given: Any, meant: Any, name: str = "") -> str:
    """What `build`, made for YAML, passes over: a field that is left out, or a number in quotes."""
    if not isinstance(meant, dict):
        return "" if given == meant else f"{name} must be {meant}, got {shown(given)}"
    for key, item in meant.items():
        place = f"{name}.{key}".lstrip(".")
        if wrong := _difference(given[key], item, place) if key in given else f"{place} must be there":
            return wrong
    return ""
