"""YAML from a file that somebody edits: read whole or refused in one line, whatever is in the file.

YAML repeats a value by an alias (`*name`), so that a small file can stand for gigabytes; a key that comes twice silently
replaces the first. Both are refused before anything is built.
"""

from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

import yaml

MOST_BYTES = 1_000_000
MOST_WRITTEN_OUT = 4_000_000
"""Characters of a file with its aliases written out, and `_PER_VALUE` for each value."""
MOST_LEVELS = 40
"""Lists and mappings within each other."""
_PER_VALUE = 16
_BASE: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast
_MERGE = "tag:yaml.org,2002:merge"


def read_yaml(path: Path) -> Any:
    """What the file `path` holds: text, numbers, dates, true, false, None, lists and mappings; None if it is empty.

    Raises ValueError in one line that begins with `path`: for a file that cannot be read, is no UTF-8, no YAML or too large,
    for a key that comes twice, for a tag (`!!python/...`), for aliases that grow too large or hold themselves.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path} must be a file that can be read, got: {error.strerror or error}") from error
    if len(content) > MOST_BYTES:
        raise ValueError(f"{path} must have at most {MOST_BYTES} bytes, got more")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path} must be UTF-8 text, got byte {content[error.start]:#04x} in line {line}") from error
    try:
        _check_size(yaml.parse(text, _BASE))
        return yaml.load(text, _OnceOnly)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{path} must be YAML: {place}{_one_line(error.problem or error.context)}") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path} must be YAML: {_one_line(error)}") from error


def _check_size(events: Iterable[yaml.Event]) -> None:
    """Raise MarkedYAMLError for what would be too large, too deep or tagged; the events cost no more than the file is long."""
    sizes: dict[str, int] = {}
    open_collections: list[list] = [["", 0]]  # anchor and size so far
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            if any(event.anchor == anchor for anchor, _ in open_collections):
                raise _refused(f"*{event.anchor} must not hold itself", event)
            open_collections[-1][1] += sizes.get(event.anchor or "", 0) + _PER_VALUE
        elif isinstance(event, yaml.NodeEvent):
            if getattr(event, "tag", None) is not None:
                raise _refused(f"values must have no tag, got {event.tag!r}", event)  # pyright: ignore[reportAttributeAccessIssue]
            if isinstance(event, yaml.ScalarEvent):
                size = len(event.value) + _PER_VALUE
                sizes |= {event.anchor: size} if event.anchor else {}
                open_collections[-1][1] += size
            else:
                open_collections.append([event.anchor or "", _PER_VALUE])
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = open_collections.pop()
            sizes |= {anchor: size} if anchor else {}
            open_collections[-1][1] += size
        if len(open_collections) > MOST_LEVELS:
            raise _refused(f"lists and mappings must be within each other at most {MOST_LEVELS} deep", event)
        if open_collections[-1][1] > MOST_WRITTEN_OUT:
            raise _refused(f"aliases must not write out to more than {MOST_WRITTEN_OUT} characters", event)


class _OnceOnly(_BASE):
    """YAML in which no key may come twice: the second would silently replace the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise _refused("a key must be text or a number, got a list or a mapping", key_node)
            if key in seen:
                raise _refused(f"{key_node.value} must be given once, it is twice", key_node)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:  # the 31st of February, a number of 5000 digits
            raise _refused(f"a value that looks like a number or a date must be one: {error}", node) from error


def _refused(problem: str, place: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=place.start_mark)


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
