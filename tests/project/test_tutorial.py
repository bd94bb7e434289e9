"""docs/tutorial.md is walked: its commands, in the order of the page, in one shell; in a clone, and in a project of the package."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline_copy import ROOT, copy_project
from tests.test_commands_of_pages import shown_commands

pytestmark = [pytest.mark.renders, pytest.mark.slow, pytest.mark.long]
CLONE = {"make install", "source .venv/bin/activate"}
PACKAGE = {
    "python3.12 -m venv venv",
    "source venv/bin/activate",
    "pip install 'ocrrl[train,pipeline,view]'",
    "ocrrl init my_lab",
    "cd my_lab",
}
INSTALLS = (CLONE | PACKAGE) - {"ocrrl init my_lab", "cd my_lab"}  # the environment of the tests is installed
AUTHOR = ("-c", "user.name=test", "-c", "user.email=test@localhost")
MAY_FAIL = "ocrrl doctor --cell-file"  # the file is not filled in yet, and no camera is connected


def as_walked(command: str, demo: str) -> str:
    if command in INSTALLS:
        return "true"
    if command == "make demo":
        return demo
    if command.startswith("ocrrl view"):
        return f"{command} --save episode.rrd"  # without a window
    return f"{command} || true" if command.startswith(MAY_FAIL) else command


@pytest.mark.parametrize("route", ["clone", "package"])
def test_a_newcomer_can_walk_the_tutorial(route: str, request, tmp_path: Path):
    shown = list(shown_commands((ROOT / "docs" / "tutorial.md").read_text()))
    assert set(shown) >= CLONE | PACKAGE
    if route == "clone":
        start = project = library = copy_project(tmp_path / "project")
        shutil.copytree(ROOT / "cells", project / "cells")
        for words in (("init", "-q"), ("add", "--all"), (*AUTHOR, "commit", "-qm", "start")):
            subprocess.run(["git", *words], cwd=project, check=True)
        left_out, demo = PACKAGE, "dvc repro report@cube_lift"  # what the Makefile runs, once it has installed
    else:
        start, project, library = tmp_path, tmp_path / "my_lab", request.getfixturevalue("image") / "site"
        left_out, demo = CLONE, "make demo"
    script = "\n".join(as_walked(command, demo) for command in shown if command not in left_out)
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(library),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    done = subprocess.run(["bash", "-exc", script], cwd=start, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"

    assert "4 episodes accepted, 0 rejected" in done.stdout + done.stderr
    for domain in ("sim", "real"):
        assert json.loads((project / f"data/vla_{domain}/round0/cube_lift/config.json").read_text())["type"] == "act"
    assert re.search(r"episodes: data/episodes/cube_lift/lab", (project / "params.yaml").read_text())
    (session,) = project.glob("data/**/first/session.json")
    assert "rehearsal" in session.read_text()
    assert (project / "cells/mine.yaml").is_file() and "MISS" in done.stdout
