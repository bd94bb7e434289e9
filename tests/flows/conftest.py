"""One server, worker and toy pipeline for all tests of flow runs; every test begins with nothing run."""

import shutil

import pytest

from tests.flow_project import served
from tests.flows.toy_pipeline import toy_project


@pytest.fixture(scope="session")
def served_project(tmp_path_factory):
    with served(toy_project(tmp_path_factory.mktemp("flows") / "project")) as project:
        yield project


@pytest.fixture
def project(served_project):
    """The toy project with no data, no cache, no lock file and no logs."""
    for name in ("data", ".dvc/cache", ".dvc/tmp", ".work/flow_logs"):
        shutil.rmtree(served_project.folder / name, ignore_errors=True)
    for pattern in ("dvc.lock*", "break-*"):
        for path in served_project.folder.glob(pattern):
            path.unlink()
    return served_project
