"""One toy project for all tests of lineage, made by DVC in a process of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline_copy import ROOT


@pytest.fixture(scope="session")
def history(tmp_path_factory) -> Path:
    """`project/` with its git tags, `hashes/`, `ours/`, and told_by_dvc.json; tests do not change it."""
    folder = tmp_path_factory.mktemp("lineage") / "history"
    environment = os.environ | {"DVC_NO_ANALYTICS": "1", "PYTHONPATH": str(ROOT)}
    for name in ("PYTHONDONTWRITEBYTECODE", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "tests.lineage.toy_history", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="session")
def told_by_dvc(history) -> dict:
    return json.loads((history / "told_by_dvc.json").read_text())


@pytest.fixture
def at(history, monkeypatch) -> Path:
    """The toy project, which the test stands in and must not change."""
    monkeypatch.chdir(history / "project")
    return history / "project"


@pytest.fixture
def own(history, tmp_path, monkeypatch) -> Path:
    """A copy of the toy project, which the test stands in and may change."""
    shutil.copytree(history / "project", tmp_path / "project", symlinks=True)
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"
