"""Stages on workers in clones of their own, one machine standing for three: results come back by DVC's remote."""

import pytest

from tests.flow_project import add_remote, clone_of, working

pytestmark = pytest.mark.slow

TIMEOUT = 300.0


def started(project):
    """Stages that ran in this clone."""
    return sorted(path.rsplit("/", 1)[1] for path, text in project.log_texts().items() if "Running stage" in text)


def test_without_a_remote_or_with_uncommitted_code_nothing_starts(project):
    state = project.wait_for(project.start_run(on_workers=True), TIMEOUT)
    assert state["type"] == "FAILED" and "dvc remote add" in state["message"]
    (project.folder / "toy").write_text((project.folder / "toy").read_text() + "# changed\n")
    try:
        state = project.wait_for(project.start_run(on_workers=True), TIMEOUT)
    finally:
        project.call("git", "checkout", "toy")
    assert state["type"] == "FAILED" and "workers run commits, got changes in toy" in state["message"]


@pytest.mark.long
def test_two_workers_in_two_clones_complete_the_coordinator_s_dvc_lock(project, tmp_path):
    add_remote(project.folder, tmp_path / "storage")
    cpu, gpu = (clone_of(project, tmp_path / name) for name in ("cpu_machine", "gpu_machine"))
    with working(cpu, "cpu"), working(gpu, "gpu"):
        run = project.start_run(on_workers=True)
        state = project.wait_for(run, TIMEOUT)
    assert state["type"] == "COMPLETED", state
    assert set(project.locked()) == {"record", "finetune@sim", "finetune@real", "report"}
    assert (project.folder / "data/report.txt").read_text() == "report of cube_lift"
    assert "up to date" in project.call("dvc", "status")
    assert started(cpu) == ["record.log", "report.log"]
    assert started(gpu) == ["finetune@real.log", "finetune@sim.log"]
    assert started(project) == [], "the coordinator restores and runs nothing"
    assert len(project.log_texts()) == 4
