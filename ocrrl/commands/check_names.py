"""`ocrrl check_names`: the first command of every stage; refuses names in params.yaml that a shell could misread.

DVC fills `${...}` of a stage's command in without quotes and hands the line to a shell. It runs a stage's commands one by one and
ends at the first that fails: this one, which holds nothing of params.yaml or graph.yaml, fails for a name that a shell could
misread, and for a graph.yaml that is stale.
"""

import argparse
import os
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError

from ocrrl.code_units import is_installed
from ocrrl.interface.names import shown
from ocrrl.layout import DATA
from ocrrl.lineage.reading.places import require_new_layout
from ocrrl.params import PARAMS_FILE, Params, ParamsError
from ocrrl.params_graph import GRAPH_FILE
from ocrrl.safe_yaml import read_yaml


def run(options: argparse.Namespace) -> int:
    check_names()
    return 0


def check_names(path: Path = PARAMS_FILE) -> None:
    """ParamsError that names the first thing wrong in `path` and the graph.yaml beside it; without both there are no names.

    ValueError where data beside them lie as an older version left them, and where code.yaml is of another package than the
    installed one.
    """
    require_new_layout(path.parent / DATA)
    if is_installed(path.parent):
        from ocrrl.project.code_file import require_current

        require_current(path.parent)
    graph = path.with_name(GRAPH_FILE.name)
    if os.path.lexists(path) or os.path.lexists(graph):
        Params(_as_dvc_reads(path), path).require_graph(_as_dvc_reads(graph), graph)


def _as_dvc_reads(path: Path) -> dict[Any, Any]:
    """The content of `path` by the parser of DVC in the same mode: what another one makes of a file may differ.

    Our own parser first: it refuses aliases that hold themselves or write out to gigabytes.
    """
    try:
        read_yaml(path)
        sections = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParamsError(f"{path} must be a file that can be read, got: {error.strerror}") from error
    except YAMLError as error:
        raise ParamsError(f"{path} must be YAML: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ParamsError(str(error) if str(path) in str(error) else f"{path} must be YAML: {error}") from error
    if not isinstance(sections, dict):
        raise ParamsError(f"{path} must hold sections, got {shown(sections)}")
    return sections
