"""Reads a JSON file field by field; an error names file, field and remedy."""

from pathlib import Path
from typing import Any

import numpy as np

from ocrrl.config_builder import LARGEST_NUMBER, listed, shown
from ocrrl.interface.json_file import read_json

MOST_BYTES = 10 * 2**20


class JsonFields:
    """The fields of a JSON object. Every method raises ValueError that names the file, the field, what it must be, what was
    got, and the remedy."""

    def __init__(self, path: Path, content: Any, remedy: str, prefix: str = "") -> None:
        self._path, self._remedy, self._prefix = path, remedy, prefix
        if not isinstance(content, dict):
            raise self.wrong("", "must be an object", content)
        self._content = content

    @classmethod
    def read(cls, path: Path, remedy: str) -> "JsonFields":
        """The object in the file `path`; FileNotFoundError if there is no file."""
        return cls(path, read_json(path, strict=False, most_bytes=MOST_BYTES, remedy=remedy), remedy)

    def wrong(self, name: str, must: str, got: Any) -> ValueError:
        """The error for the field `name`, to raise."""
        subject = f"{self._path}: {self._prefix}{name}".rstrip(":. ")
        return ValueError(f"{subject} {must}, got {shown(got)}: {self._remedy}")

    def only(self, *names: str) -> "JsonFields":
        """Itself, if it has no fields but `names`."""
        unknown = sorted(set(self._content) - set(names))
        if unknown:
            raise self.wrong(listed(unknown[:1]), f"must be one of {', '.join(names)}", unknown[0])
        return self

    def text(self, name: str) -> str:
        """A string that is not empty."""
        value = self._field(name)
        if not isinstance(value, str) or not value:
            raise self.wrong(name, "must be a text that is not empty", value)
        return value

    def whole(self, name: str) -> int:
        """A whole number."""
        value = self._field(name)
        if not isinstance(value, int) or not _is_number(value):
            raise self.wrong(name, "must be a whole number", value)
        return value

    def number(self, name: str) -> float:
        """A finite number."""
        value = self._field(name)
        if not _is_number(value):
            raise self.wrong(name, "must be a number", value)
        return float(value)

    def numbers(self, name: str, count: int) -> np.ndarray:
        """`count` finite numbers, as an array."""
        value = self._field(name)
        if not isinstance(value, list) or len(value) != count or not all(map(_is_number, value)):
            raise self.wrong(name, f"must be {count} numbers", value)
        return np.array(value, float)

    def pose(self, name: str) -> np.ndarray:
        """A pose (7,), position [m] and wxyz, whose quaternion has unit length within 1e-6."""
        pose = self.numbers(name, 7)
        if abs(np.linalg.norm(pose[3:]) - 1) > 1e-6:
            raise self.wrong(name, "must end with a unit quaternion wxyz", pose.tolist())
        return pose

    def section(self, name: str) -> "JsonFields":
        """An object."""
        return JsonFields(self._path, self._field(name), self._remedy, f"{self._prefix}{name}.")

    def _field(self, name: str) -> Any:
        if name not in self._content:
            raise self.wrong(name, "must be there", None)
        return self._content[name]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST_NUMBER <= value <= LARGEST_NUMBER
