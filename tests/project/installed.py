"""Runs a package that is installed in a folder of its own, on the libraries of this environment."""

import os
import shutil
import subprocess
import sys
from pathlib import Path


def uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv") or "uv"


def run_installed(
    site: Path, folder: Path, *arguments: str, code: int = 0, **variables: str
) -> subprocess.CompletedProcess[str]:
    """`ocrrl ARGUMENTS` of the package installed in `site`, in `folder`; AssertionError for another exit code."""
    environment = os.environ | {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1", **variables}
    command = [sys.executable, "-m", "ocrrl.cli", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, f"{arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done
