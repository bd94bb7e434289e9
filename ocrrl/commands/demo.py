"""`ocrrl demo`: runs what is out of date of one tabletop task's loop by DVC, and prints the results."""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from ocrrl.commands.check_names import check_names
from ocrrl.extras import require_extra
from ocrrl.params import Params, require_file

PIPELINE = Path("dvc.yaml")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tabletop_task", nargs="?", default="cube_lift", help="default: cube_lift")


def run(options: argparse.Namespace) -> int:
    """The exit code of the first command that fails, else 0."""
    return demo(options.tabletop_task)


def demo(tabletop_task: str) -> int:
    """Run `dvc repro report@<tabletop_task>` in the project of the working folder, then print times and results.

    FileNotFoundError outside a project, ModuleNotFoundError where an extra is missing, ValueError for a task that params.yaml has not:
    nothing has run then.
    """
    if not PIPELINE.is_file():
        raise FileNotFoundError(
            f"demo must run in a project's folder, got {Path.cwd()} without {PIPELINE}; `ocrrl init my_lab` makes one"
        )
    require_extra("train")
    require_extra("pipeline")
    require_file(Path("params.yaml"))
    check_names()
    if tabletop_task not in (known := Params.read().tasks()):
        raise ValueError(
            f"demo must be given a tabletop task of params.yaml, {', '.join(known)}, got {tabletop_task!r}"
        )
    programs = Path(sys.executable).parent  # of the environment, which need not be activated
    path = os.pathsep.join([str(programs), os.environ.get("PATH", "")])
    one_thread = {"OMP_NUM_THREADS": "1"}  # a process: the fastest on few cores
    environment = one_thread | os.environ | {"PATH": path, "DVC_NO_ANALYTICS": "1", "TOKENIZERS_PARALLELISM": "false"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled bytecode halves the time that stages take to start
    begun = time.monotonic()
    for command in (
        [shutil.which("dvc", path=path) or "dvc", "repro", f"report@{tabletop_task}"],
        [sys.executable, "-m", "ocrrl.cli", "timings"],
        [sys.executable, "-m", "ocrrl.cli", "show", tabletop_task],
    ):
        if code := subprocess.run(command, env=environment, check=False).returncode:
            return code
        if command[1] == "repro":
            print(f"reproduced in {time.monotonic() - begun:.0f} s", flush=True)
    return 0
