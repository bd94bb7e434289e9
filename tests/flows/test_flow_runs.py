"""Deployment runs on a server and worker of their own, as `make serve` starts them, over a toy pipeline."""

import time

import pytest

pytestmark = pytest.mark.slow

STAGES = {"record", "finetune@sim", "finetune@real", "report"}
TIMEOUT = 240.0


def task_runs(project, flow_run):
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    chosen = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run]))
    with project.client() as client:
        return {run.name: run.state.name for run in client.read_task_runs(flow_run_filter=chosen)}


def ran(project):
    return sorted(path.rsplit("/", 1)[1] for path, text in project.log_texts().items() if "Running stage" in text)


def test_a_deployment_runs_every_stage_once_and_then_nothing(project):
    run = project.start_run()
    assert project.wait_for(run, TIMEOUT)["type"] == "COMPLETED"
    assert set(project.locked()) == STAGES
    assert task_runs(project, run) == {
        "record · cube_lift · round0": "Completed",
        "finetune · cube_lift · sim · round0": "Completed",
        "finetune · cube_lift · real · round0": "Completed",
        "report · cube_lift · round0": "Completed",
    }
    first = len(ran(project))
    again = project.start_run()
    assert project.wait_for(again, TIMEOUT)["type"] == "COMPLETED"
    assert len(ran(project)) == first == 4 and task_runs(project, again) == {}


def test_a_failing_stage_shows_its_error_holds_back_what_needs_it_and_lets_the_rest_finish(project):
    (project.folder / "break-finetune-sim").touch()
    run = project.start_run()
    state = project.wait_for(run, TIMEOUT)
    assert state["type"] == "FAILED"
    assert (
        "failed: finetune@sim; not run, since they need those: report; finished: record, finetune@real"
        in state["message"]
    )
    assert "the reason stands here" in state["message"]
    assert set(project.locked()) == {"record", "finetune@real"}
    (project.folder / "break-finetune-sim").unlink()
    assert project.wait_for(project.start_run(), TIMEOUT)["type"] == "COMPLETED"
    assert sorted(ran(project)).count("record.log") == 1, "what was finished is not run again"


def test_what_does_not_exist_is_refused_with_what_does(project):
    state = project.wait_for(project.start_run("self-improve/full", targets=["retrian"]), TIMEOUT)
    assert state["type"] == "FAILED" and "'retrian' must be a stage of dvc.yaml" in state["message"]
    state = project.wait_for(project.start_run("finetune/full"), TIMEOUT)
    assert state["type"] == "FAILED" and "needs record, which is out of date" in state["message"]


def test_a_cancelled_run_leaves_no_process(project):
    run = project.start_run()
    wait_for_stage(project)
    project.call("prefect", "flow-run", "cancel", run)
    assert project.wait_for(run, TIMEOUT)["type"] == "CANCELLED"
    deadline = time.monotonic() + 20
    while project.processes("dvc") or project.processes_named("toy"):
        assert time.monotonic() < deadline
        time.sleep(0.2)


LONG = pytest.mark.long  # one of the three is enough for each landing


@pytest.mark.parametrize("target", ["engine", pytest.param("dvc", marks=LONG), pytest.param("stage", marks=LONG)])
def test_after_kill_9_the_deployment_run_again_finishes_what_was_left(project, target):
    run = project.start_run()
    wait_for_stage(project)
    project.processes(target)[0].kill()
    deadline = time.monotonic() + TIMEOUT
    while project.processes("engine") or project.processes("dvc"):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    second = project.start_run()
    assert project.wait_for(second, TIMEOUT)["type"] == "COMPLETED", project.state(run)
    assert set(project.locked()) == STAGES
    assert "up to date" in project.call("dvc", "status")
    assert not project.processes("dvc") and not project.processes_named("toy")


def wait_for_stage(project):
    deadline = time.monotonic() + 90
    while not project.processes("stage"):
        assert time.monotonic() < deadline, "no stage started"
        time.sleep(0.05)


def test_the_server_listens_on_this_machine_only_and_sends_no_analytics(project):
    import psutil

    server = project.processes_named("flows.prefect_server")
    listening = {c.laddr.ip for p in server for c in p.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}
    settings = project.call("prefect", "config", "view", "--show-defaults")
    assert "PREFECT_SERVER_ANALYTICS_ENABLED='False'" in settings
