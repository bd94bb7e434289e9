import shutil

import pytest

from ocrrl.report.build_report import build_report
from ocrrl.report.inputs import read_inputs

from .synthetic_round import write_synthetic_round, write_synthetic_tasks


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    return write_synthetic_round(tmp_path_factory.mktemp("round"), episodes=40, videos=1)


@pytest.fixture(scope="session")
def report(inputs, tmp_path_factory):
    """The folder of a report with every part."""
    out = tmp_path_factory.mktemp("report")
    build_report(read_inputs(inputs), out, "ocrrl report")
    return out


@pytest.fixture(scope="session")
def five_tasks(tmp_path_factory):
    """A project's folder in which five tabletop tasks were evaluated, each with two residual seeds."""
    folder = tmp_path_factory.mktemp("five_tasks")
    write_synthetic_tasks(folder, seeds=(0, 1))
    return folder


@pytest.fixture
def here(five_tasks, tmp_path, monkeypatch):
    """A copy of the five tasks' files to change, as the working folder."""
    shutil.copytree(five_tasks, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"
