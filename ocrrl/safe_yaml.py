"""Reads hand-edited YAML safely; a bad file is refused in one line.

YAML repeats a value by an alias (`*name`), so that a small file can stand for gigabytes; of a key that comes twice it
silently takes the last. Both are refused before anything is built.
"""

import re
from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

MOST_BYTES = 1_000_000
MOST_WRITTEN_OUT = 4_000_000
"""Characters of a file with its aliases written out, and `_PER_VALUE` for each value."""
MOST_LEVELS = 40
"""Lists and mappings within each other."""
_PER_VALUE = 16
_TOO_DEEP = f"lists and mappings must be within each other at most {MOST_LEVELS} deep"
_BASE: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast
_MERGE_KEY = "tag:yaml.org,2002:merge"  # `<<`, which may come several times
_OPEN_MERGE = re.compile(r"^(<{7}|>{7})( |$)", re.MULTILINE)


def read_yaml(path: Path) -> Any:
    """What the file `path` holds: text, numbers, dates, true, false, None, lists and mappings; None if it is empty.

    Raises ValueError in one line that begins with `path`: for a file that cannot be read, is no UTF-8 or too large, and as
    `parse_yaml`.
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
    return parse_yaml(text, str(path))


def parse_yaml(text: str, name: str, most_written_out: int | None = MOST_WRITTEN_OUT) -> Any:
    """What `text` holds, of the file `name`; None if it is empty. Without `most_written_out` tags and aliases are taken.

    Raises ValueError in one line that begins with `name`: for no YAML, the marks that git leaves where a merge is open, a key
    that comes twice (with its lines), a tag (`!!python/...`), aliases that grow too large or hold themselves.
    """
    if open_merge := _OPEN_MERGE.search(text):
        line = text.count("\n", 0, open_merge.start()) + 1
        raise ValueError(
            f"{name} must be merged, got git's mark {open_merge[1]} on line {line}: keep one side and delete the marks"
        )
    try:
        if most_written_out is not None:
            _check_size(yaml.parse(text, _BASE), most_written_out)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            for key, lines in _keys_that_come_twice(loader, node):
                listed = f"{', '.join(map(str, lines[:-1]))} and {lines[-1]}"
                raise ValueError(
                    f"{name}: {_one_line(key)} must be there once, got it on lines {listed}; {_remedy(name, key)}"
                )
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = error.problem or error.context
        if "nesting depth" in str(problem):  # PyYAML counts, too, from 6.0.4 on
            problem = _TOO_DEEP
        raise ValueError(f"{name} must be YAML: {place}{_one_line(problem)}") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{name} must be YAML: {_one_line(error)}") from error


def _check_size(events: Iterable[yaml.Event], most_written_out: int) -> None:
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
            raise _refused(_TOO_DEEP, event)
        if open_collections[-1][1] > most_written_out:
            raise _refused(f"aliases must not write out to more than {most_written_out} characters", event)


class _Loader(_BASE):
    """Values that look like a number or a date and are none are refused with their place."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:  # the 31st of February, a number of 5000 digits
            raise _refused(f"a value that looks like a number or a date must be one: {error}", node) from error


def _keys_that_come_twice(loader: Any, top: yaml.Node | None) -> Iterator[tuple[str, list[int]]]:
    """Each with its dotted name and its lines; what an alias repeats is looked at once."""
    seen, waiting = set(), [("", top)]
    while waiting:
        prefix, node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += [(f"{prefix}{number}.", item) for number, item in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            found: dict[Hashable, tuple[str, list[int]]] = {}
            for key_node, value in node.value:
                if not isinstance(key_node, yaml.ScalarNode):
                    raise _refused("a key must be text or a number, got a list or a mapping", key_node)
                name = f"{prefix}{key_node.value}"
                if key_node.tag != _MERGE_KEY:
                    key = loader.construct_object(key_node)
                    found.setdefault(key, (name, []))[1].append(key_node.start_mark.line + 1)
                waiting.append((f"{name}.", value))
            yield from (entry for entry in found.values() if len(entry[1]) > 1)


def _remedy(name: str, key: str) -> str:
    stage = key.removeprefix("stages.")
    if name.endswith("dvc.lock") and key.startswith("stages.") and "." not in stage:
        return f"delete the one that is not of this working tree, or all of them: `dvc repro {stage}` writes a new one"
    return "keep one of them"


def _refused(problem: str, place: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=place.start_mark)


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
