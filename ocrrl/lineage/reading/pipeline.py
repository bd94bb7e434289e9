"""Resolves the templates of dvc.yaml as DVC does: `vars`, params.yaml, `foreach`, `matrix` and `${...}`.

DVC itself takes seconds to import; every stage run and every lineage needs only the addresses, commands and paths.
"""

import itertools
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ocrrl.safe_yaml import parse_yaml

_TEMPLATE = re.compile(r"(?<!\\)\$\{(.*?)\}")
_OUTS = ("outs", "metrics", "plots")
_NAMES_CHECK = "ocrrl check_names"  # stands before every stage's own command

Read = Callable[[str], str | None]
"""Text of a file of the project by its path, None where there is no such file."""


@dataclass(frozen=True)
class PipelineStage:
    """One stage of the pipeline, its paths relative to the project."""

    address: str
    """As on DVC's command line: `finetune@cube_lift-sim`."""
    command: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    """Metrics and plots are outs too."""
    params: tuple[tuple[str, str], ...] = ()
    """The file of each parameter and its dotted name."""


def pipeline_stages(read: Read) -> dict[str, PipelineStage]:
    """The stages by address, in the order of dvc.yaml; none where there is no dvc.yaml.

    ValueError naming the template if one asks for a value that is not there.
    """
    text = read("dvc.yaml")
    if text is None:
        return {}
    content = load_yaml(text, "dvc.yaml")
    context = _context(content.get("vars", []), read)
    stages = {}
    for name, entry in (content.get("stages") or {}).items():
        for address, body in _instances(name, entry, context):
            stages[address] = _stage(address, body)
    return stages


def stage_of_command(stages: Mapping[str, PipelineStage], program: str, options: Mapping[str, Any]) -> str | None:
    """Address of the stage whose command is `program` called with `options`, None if no stage is.

    `options` are the parsed ones: `command`, the positional ones' values, and the flags by name.
    """
    for stage in stages.values():
        words = stage.command.split()
        if words[:2] != [program, options["command"]]:
            continue
        flags, positional = _arguments(words[2:])
        others = [str(value) for name, value in options.items() if name not in flags]
        if all(str(options.get(name)) == value for name, value in flags.items()) and set(positional) <= set(others):
            return stage.address
    return None


def load_yaml(text: str, name: str) -> dict[str, Any]:
    """The mapping in `text`, of DVC's file `name`; empty for an empty one. ValueError as of `parse_yaml`, and for no mapping."""
    content = parse_yaml(text, name, most_written_out=None)
    if not isinstance(content, dict | None):
        raise ValueError(f"{name} must hold a mapping, got {type(content).__name__}")
    return content or {}


def command_of(cmd: str | list[str]) -> str:
    """The command of a stage's `cmd`, without the check of names that stands before it."""
    return " && ".join(line for line in cmd if line != _NAMES_CHECK) if isinstance(cmd, list) else cmd


def _arguments(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """The flags by name (`--seed 0` as {"seed": "0"}, a bare one as "True") and the positional words."""
    flags, positional = {}, []
    name = None
    for word in words:
        if word.startswith("--"):
            name, _, value = word.removeprefix("--").replace("-", "_").partition("=")
            flags[name] = value or "True"
        elif name is not None:
            flags[name], name = word, None
        else:
            positional.append(word)
    return flags, positional


def _context(variables: list[Any], read: Read) -> dict[str, Any]:
    context = load_yaml(read("params.yaml") or "", "params.yaml")
    for entry in variables:
        if isinstance(entry, str):
            path, _, keys = entry.partition(":")
            values = load_yaml(read(path) or "", path)
            entry = {key: values[key] for key in keys.split(",")} if keys else values
        context |= {key: _fill(value, context) for key, value in entry.items()}
    return context


def _instances(name: str, entry: dict[str, Any], context: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if "foreach" in entry:
        items = _fill(entry["foreach"], context)
        keyed = isinstance(items, dict)
        if not keyed:
            compound = any(isinstance(item, dict | list) for item in items)
            items = {str(index) if compound else _text(item): item for index, item in enumerate(items)}
        for key, item in items.items():
            key = _text(key)
            yield f"{name}@{key}", _fill(entry["do"], context | {"item": item} | ({"key": key} if keyed else {}))
    elif "matrix" in entry:
        body = {key: value for key, value in entry.items() if key != "matrix"}
        axes = _fill(entry["matrix"], context)
        for choice in itertools.product(*(list(enumerate(values)) for values in axes.values())):
            item = {axis: value for axis, (_, value) in zip(axes, choice, strict=True)}
            key = "-".join(
                f"{axis}{index}" if isinstance(value, dict | list) else _text(value)
                for axis, (index, value) in zip(axes, choice, strict=True)
            )
            yield f"{name}@{key}", _fill(body, context | {"item": item, "key": key})
    else:
        yield name, _fill(entry, context)


def _stage(address: str, body: dict[str, Any]) -> PipelineStage:
    folder = body.get("wdir", ".")

    def paths(*sections: str) -> tuple[str, ...]:
        entries = itertools.chain.from_iterable(body.get(section) or [] for section in sections)
        named = (next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries)
        return tuple(posixpath.normpath(posixpath.join(folder, str(path))) for path in named)

    params = tuple(
        (file, name)
        for entry in body.get("params") or []
        for file, names in (entry if isinstance(entry, dict) else {"params.yaml": [entry]}).items()
        for name in names
    )
    return PipelineStage(address, command_of(body.get("cmd", "")), paths("deps"), paths(*_OUTS), params)


def _fill(value: Any, context: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {_fill(key, context): _fill(item, context) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, context) for item in value]
    if not isinstance(value, str):
        return value
    whole = _TEMPLATE.fullmatch(value)
    if whole and "${" not in whole[1]:
        return _select(whole[1], context)
    return _TEMPLATE.sub(lambda match: _text(_select(match[1], context)), value).replace("\\${", "${")


def _select(expression: str, context: Mapping[str, Any]) -> Any:
    value: Any = context
    for word in re.findall(r"[^.\[\]]+", expression.strip()):
        try:
            value = value[int(word)] if isinstance(value, list) else value[word]
        except (KeyError, IndexError, ValueError, TypeError):
            known = ", ".join(map(str, value)) if isinstance(value, dict) else type(value).__name__
            raise ValueError(f"dvc.yaml: ${{{expression}}} must name a value, got {word} among {known}") from None
    return value


def _text(value: Any) -> str:
    return ("false", "true")[value] if isinstance(value, bool) else str(value)
