"""A copy of the project in which the whole loop may run without touching the checkout."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def copy_project(folder: Path, preset: str = "smoke", tasks: Sequence[str] = ("cube_lift",)) -> Path:
    """The library, dvc.yaml and the parameters of `preset` for `tasks` in `folder`, ready for `dvc repro report`."""
    folder.mkdir(parents=True)
    shutil.copytree(ROOT / "ocrrl", folder / "ocrrl", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, folder / name)
    run(folder, "dvc", "init", "--no-scm", "--quiet")
    run(folder, "dvc", "config", "core.analytics", "false")
    run(folder, "ocrrl", "params", "--preset", preset, "--tasks", *tasks)
    return folder


def run(folder: Path, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command of the environment in `folder`, on the library that lies there."""
    programs = Path(sys.executable).parent
    environment = os.environ | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(folder),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done
