"""YAML that people merge by hand: a key that comes twice, or a merge left open, is refused with its lines."""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import yaml

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast
_MERGE_KEY = "tag:yaml.org,2002:merge"  # `<<`, which may come several times
_OPEN_MERGE = re.compile(r"^(<{7}|>{7})( |$)", re.MULTILINE)


def load_yaml(text: str, name: str) -> dict[str, Any]:
    """The mapping in `text`, empty for an empty one.

    Raises ValueError that names the file, what is wrong with it, where, and what helps: for what is no YAML or no mapping, for
    a key that comes twice, of which YAML silently takes the last, and for the marks that git leaves where a merge is open.
    """
    if mark := _OPEN_MERGE.search(text):
        line = text.count("\n", 0, mark.start()) + 1
        raise ValueError(
            f"{name} must be merged, got git's mark {mark[1]} on line {line}: keep one side and delete the marks"
        )
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        twice = next(_keys_that_come_twice(node), None)
        if twice is not None:
            key, lines = twice
            raise ValueError(
                f"{name}: {key} must be there once, got it on lines {_listed(lines)}; {_remedy(name, key)}"
            )
        content = None if node is None else loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ValueError(f"{name} must be YAML: {' '.join(str(error).split())}") from error
    finally:
        loader.dispose()
    if not isinstance(content, dict | None):
        raise ValueError(f"{name} must hold a mapping, got {type(content).__name__}")
    return content or {}


def _keys_that_come_twice(top: yaml.Node | None) -> Iterator[tuple[str, list[int]]]:
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
            lines: dict[tuple[str, str], list[int]] = defaultdict(list)
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE_KEY:
                    lines[key.tag, key.value].append(key.start_mark.line + 1)
                waiting.append((f"{prefix}{key.value if isinstance(key, yaml.ScalarNode) else '?'}.", value))
            yield from ((f"{prefix}{value}", found) for (_, value), found in lines.items() if len(found) > 1)


def _listed(lines: list[int]) -> str:
    return f"{', '.join(map(str, lines[:-1]))} and {lines[-1]}"


def _remedy(name: str, key: str) -> str:
    stage = key.removeprefix("stages.")
    if name.endswith("dvc.lock") and key.startswith("stages.") and "." not in stage:
        return f"delete the one that is not of this working tree, or all of them: `dvc repro {stage}` writes a new one"
    return "keep one of them"
