"""Code as a dependency of stages: by its files in a checkout, by hashes in code.yaml where the package is installed.

The dvc.yaml of a checkout names files and folders of the package, which are units of invalidation: `ocrrl/sim`,
`ocrrl/stages/replay.py`. In a project that `ocrrl init` made, the package lies elsewhere; there a stage has the parameter
`ocrrl/sim` of code.yaml in place of the dependency `ocrrl/sim`. Both dvc.yaml are made from the checkout's.
"""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

CODE_FILE = Path("code.yaml")
"""In a project of an installed package: the hash of each unit. A checkout has none."""
NONE = ".none"
"""Folder of files that stand where a stage has no such input, since DVC needs a path: `.none/latency`."""
NO_UNIT = "none"
"""The unit of a tabletop task of the user's own, whose file lies in the project and is a dependency."""
PLACEHOLDERS = ("code", "earlier", "evaluations_folder", "latency", "own_tasks", "rollouts_folder", "vla")
"""Keys of graph.yaml with a path that may be one of the package."""
_PACKAGE = "ocrrl/"
_WIDTH = 120
_HEAD = "# Written by `ocrrl init` and `ocrrl migrate` from the dvc.yaml of ocrrl: code is a parameter of code.yaml, a hash.\n"


def is_installed(project: Path) -> bool:
    """Whether `project` depends on the installed package by the hashes of its code.yaml."""
    return (project / CODE_FILE).is_file()


def is_code(path: str) -> bool:
    """Whether a dependency of dvc.yaml or a path of graph.yaml is code of the package."""
    return path.startswith(_PACKAGE)


def is_placeholder(path: str) -> bool:
    """Whether a dependency stands where a stage has no such input."""
    return path.startswith(f"{NONE}/")


def unit(path: str) -> str:
    """The name in code.yaml of a file or folder of the package. Without `.py`: in a parameter's name a dot means a level."""
    return path.removesuffix(".py")


def installed_graph(graph: Mapping[str, Any]) -> dict[str, Any]:
    """The content of graph.yaml of a checkout as a project with an installed package has it.

    An entry with `code` also has a `unit`; a path of the package becomes one of `NONE`, all of which exist.
    """
    return {name: _installed(value, name) for name, value in graph.items()}


def _installed(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        inner = {name: _installed(item, name) for name, item in value.items()}
        if "code" not in value:
            return inner
        return inner | {"unit": unit(value["code"]) if is_code(value["code"]) else NO_UNIT}
    return f"{NONE}/{key}" if key in PLACEHOLDERS and is_code(value) else value


def installed_pipeline(text: str) -> str:
    """The dvc.yaml of a project with an installed package, from `text`, that of a checkout. Comments stay."""
    from ruamel.yaml import YAML  # lineage needs none
    from ruamel.yaml.comments import CommentedSeq

    def in_line(items: list[str]) -> CommentedSeq:
        sequence = CommentedSeq(items)
        sequence.fa.set_flow_style()
        return sequence

    parser, edited = YAML(), io.StringIO()
    parser.width = _WIDTH
    document = parser.load(text)
    for body in _bodies(document):
        units = [unit(dep) for dep in body.get("deps", []) if is_code(dep)]
        units += ["${item.unit}"] if "${item.code}" in body.get("deps", []) else []
        if not units:
            continue
        if "params" not in body:
            body.insert(list(body).index("deps"), "params", CommentedSeq())
        body["params"].fa.set_block_style()
        body["params"].append({str(CODE_FILE): in_line(units)})
        body["deps"] = in_line([dep for dep in body["deps"] if not is_code(dep)])
    parser.dump(document, edited)
    return _HEAD + "".join(f"{line.rstrip()}\n" for line in edited.getvalue().splitlines())


def units_of(pipeline: str, tabletop_tasks: Mapping[str, str]) -> list[str]:
    """The files and folders of the package that `pipeline`, a checkout's dvc.yaml, depends on, with those of its tasks.

    `tabletop_tasks`: the package's, slug and dotted name of the module.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    deps = (dep for body in _bodies(yaml.load(pipeline, loader)) for dep in body.get("deps", []))
    modules = (f"{module.replace('.', '/')}.py" for module in tabletop_tasks.values())
    return sorted({*filter(is_code, deps), *modules})


def _bodies(document: Mapping[str, Any]) -> Iterator[Any]:
    for entry in document["stages"].values():
        yield entry.get("do", entry)
