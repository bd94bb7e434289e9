"""docs/tutorial.md is walked: its commands, in the order of the page, in one shell."""

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
INSTEAD = {
    "make install": "true",  # the environment of the tests
    "source .venv/bin/activate": "true",
    "make demo": "dvc repro report@cube_lift",  # what the Makefile runs
}
AUTHOR = ("-c", "user.name=test", "-c", "user.email=test@localhost")
MAY_FAIL = "ocrrl doctor --cell-file"  # the file is not filled in yet, and no camera is connected


def as_walked(command: str) -> str:
    if command.startswith("ocrrl view"):
        return f"{command} --save episode.rrd"  # without a window
    return f"{command} || true" if command.startswith(MAY_FAIL) else INSTEAD.get(command, command)


def test_a_newcomer_can_walk_the_tutorial(tmp_path: Path):
    project = copy_project(tmp_path / "project")
    shutil.copytree(ROOT / "cells", project / "cells")
    for words in (("init", "-q"), ("add", "--all"), (*AUTHOR, "commit", "-qm", "start")):
        subprocess.run(["git", *words], cwd=project, check=True)
    script = "\n".join(as_walked(command) for command in shown_commands((ROOT / "docs" / "tutorial.md").read_text()))
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(project),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    done = subprocess.run(["bash", "-exc", script], cwd=project, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"

    assert "4 episodes accepted, 0 rejected" in done.stdout + done.stderr
    for domain in ("sim", "real"):
        assert json.loads((project / f"data/vla_{domain}/round0/cube_lift/config.json").read_text())["type"] == "act"
    assert re.search(r"episodes: data/episodes/cube_lift/lab", (project / "params.yaml").read_text())
    (session,) = project.glob("data/**/first/session.json")
    assert "rehearsal" in session.read_text()
    assert (project / "cells/mine.yaml").is_file() and "MISS" in done.stdout
