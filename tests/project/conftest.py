"""The package as the Containerfile installs it, without network, and a project that it made."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline_copy import ROOT
from tests.project.containerfile import command, steps
from tests.project.installed import run_installed, uv


@pytest.fixture(scope="session")
def image(tmp_path_factory) -> Path:
    """A folder in which COPY, the wheel and its installation were run: `src`, `dist` and, for site-packages, `site`."""
    root = tmp_path_factory.mktemp("image")
    source = root / "src"
    for words in steps("COPY"):
        *names, target = words.split()
        for name in names:
            place = source / target / Path(name).name if target.endswith("/") else source / target
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, place)
    offline = ["--offline", "--quiet", "--python", sys.executable]
    build = [word.replace("/tmp/dist", str(root / "dist")) for word in command("uv build")]
    subprocess.run([uv(), *build[1:], *offline], cwd=source, check=True)
    (wheel,) = (root / "dist").glob(Path(command("uv pip install")[-1]).name)
    install = [*command("uv pip install")[:-1], str(wheel), "--target", str(root / "site")]
    subprocess.run([uv(), *install[1:], *offline], check=True)
    return root


@pytest.fixture(scope="session")
def made(image, tmp_path_factory) -> Path:
    """A project of `ocrrl init`; not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    run_installed(image / "site", folder, "init", "my_lab", HOME=str(folder))
    return folder / "my_lab"


@pytest.fixture
def site(image, tmp_path) -> Path:
    """A copy of the installed package, to be changed as a newer version would be."""
    return Path(shutil.copytree(image / "site", tmp_path / "site"))
