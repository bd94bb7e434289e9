"""The steps of Containerfile, outside a container: no registry of images can be reached in CI.

Run: COPY into an empty folder, the wheel, its installation, `ocrrl init`. Dry: the lock, against the environment that `make` made
of it. Not run: the base image, apt (its packages are compared with those of CI), pip's uv and venv, useradd.
"""

import re
import subprocess
import sys

import pytest

from tests.pipeline_copy import ROOT
from tests.project.containerfile import STEPS, TEXT, command, steps
from tests.project.installed import run_installed, uv

NOT_RUN = ("apt-get update", "python -m pip install", "useradd")
RUN = ("uv pip sync", "uv build", "uv pip install", "ocrrl init")


def test_every_step_is_either_run_here_or_listed_as_not_run():
    assert {name for name, _ in STEPS} == {"FROM", "RUN", "ENV", "WORKDIR", "COPY", "USER", "CMD"}
    for words in steps("RUN"):
        assert words.startswith((*NOT_RUN, *RUN)), words
    assert steps("CMD") == ['["ocrrl", "demo"]']
    (base,) = steps("FROM")
    assert base.startswith(f"python:{(ROOT / '.python-version').read_text().strip()}-")


def test_the_system_libraries_are_those_that_ci_installs():
    packages = set(command("apt-get update")[command("apt-get update").index("--no-install-recommends") + 1 :])
    ci = re.search(r"apt-get install -y -qq (.+)", (ROOT / ".ci/run").read_text())
    assert ci and packages == {*ci[1].split(), "git", "make"}


def test_the_lock_is_what_the_environment_was_made_of():
    words = [uv(), *command("uv pip sync")[1:]]
    dry = [*words, "--dry-run", "--offline", "--python", sys.executable]
    said = subprocess.run(dry, cwd=ROOT, capture_output=True, text=True, check=False)
    missing = [line for line in said.stderr.splitlines() if line.startswith(" + ")]
    if said.returncode or missing:
        pytest.skip(f"this environment lacks what the lock has; `make install` brings it: {said.stderr[-300:]}")


def test_what_is_copied_makes_a_package_that_makes_a_project(image, made):
    """The fixtures ran COPY, `uv build`, `uv pip install` and `ocrrl init`."""
    assert made.name == command("ocrrl init")[-1]
    assert f"WORKDIR /home/lab/{made.name}" in TEXT
    run_installed(image / "site", made, "check_names")
