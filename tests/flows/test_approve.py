"""A session waits for an operator; without their word, and a token made from it, nothing moves."""

import time

import pytest

from tests.flow_project import FlowProject

pytestmark = pytest.mark.slow

TIMEOUT = 240.0
YES = {"cell_clear": True, "operator": "Ada", "episodes": 2, "minutes": 30}


def answer(project: FlowProject, **given: object) -> None:
    """Press Resume on the paused run and fill in the form."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
    from prefect.client.schemas.objects import StateType

    paused = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PAUSED])))
    deadline = time.monotonic() + 90
    with project.client() as client:
        while not (runs := client.read_flow_runs(flow_run_filter=paused)):
            assert time.monotonic() < deadline, "no flow run paused"
            time.sleep(0.5)
        client.resume_flow_run(runs[0].id, run_input=dict(given))


def session_run(project, **parameters):
    return project.start_run("rollout/full", cell="rehearsal", episodes=3, **parameters)


def test_an_approved_session_gets_as_far_as_its_models(project):
    run = session_run(project)
    answer(project, **YES)
    state = project.wait_for(run, TIMEOUT)
    assert state["type"] == "FAILED"
    assert "vla_real" in state["message"], "approved, ocrrl goes on, and the toy project has no models"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (YES | {"cell_clear": False}, "did not say that cell rehearsal is clear"),
        (YES | {"episodes": 30}, "episodes must be from 1 to the 3 asked for, got 30"),
    ],
)
def test_what_the_operator_does_not_grant_does_not_move(project, given, message):
    run = session_run(project)
    answer(project, **given)
    state = project.wait_for(run, TIMEOUT)
    assert state["type"] == "FAILED" and message in state["message"]
    assert not (project.folder / "data/sessions").exists()


def test_an_approval_that_does_not_come_in_time_ends_the_run(project):
    state = project.wait_for(session_run(project, wait_minutes=0.05), TIMEOUT)
    assert state["type"] == "FAILED" and "no operator approved session" in state["message"]
    assert not (project.folder / "data/sessions").exists()
