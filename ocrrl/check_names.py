"""`ocrrl check_names`: the first command of every stage in dvc.yaml, so that no name of params.yaml is run by a shell.

DVC fills `${...}` of a stage's command in without quotes and hands the line to a shell. It runs a stage's commands one by one and
ends at the first that fails: this one, which holds nothing of params.yaml, fails for a name that a shell could misread.
"""

import os
from pathlib import Path

from ruamel.yaml import YAML, YAMLError

from ocrrl.interface.names import shown
from ocrrl.params import PARAMS_FILE, Params, ParamsError


def check_names(path: Path = PARAMS_FILE) -> None:
    """ParamsError that names the first thing wrong in `path`; a file that is not there has no names.

    The file is read as DVC reads it, by the same parser in the same mode: what another one makes of a file may differ.
    """
    if not os.path.lexists(path):
        return
    try:
        sections = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParamsError(f"{path} must be a file that can be read, got: {error.strerror}") from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise ParamsError(f"{path} must be YAML: {error}") from error
    if not isinstance(sections, dict):
        raise ParamsError(f"{path} must hold sections, got {shown(sections)}")
    Params(sections, str(path))
