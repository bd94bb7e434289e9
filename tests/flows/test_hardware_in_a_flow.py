"""A flow runs no session in a cell whose arm is stopped from a terminal."""

import pytest

from flows import sessions
from flows.approve import Approved


def test_hardware_is_refused_before_anybody_is_asked_with_the_command_for_its_terminal(monkeypatch):
    monkeypatch.setattr(sessions, "approve", lambda *_: pytest.fail("somebody was asked"))
    with pytest.raises(
        ValueError, match=r"a flow runs sessions in rehearsal, got 'fr3': .*: ocrrl rollout TASK --cell fr3"
    ):
        sessions.approved_sessions("rollout", "fr3", None, 1, 1.0)


@pytest.fixture
def asked_and_run(monkeypatch):
    """What a flow would run, in a folder with two tabletop tasks."""
    from types import SimpleNamespace

    from pydantic import SecretStr

    asked, run = [], []
    stages = [SimpleNamespace(tabletop_task=task) for task in ("cube_lift", "stack_cube")]

    def select(selection):
        return [
            stage
            for stage in stages
            if stage.tabletop_task in (selection.tabletop_tasks or ("cube_lift", "stack_cube"))
        ]

    def approved(*given):
        asked.append(given)
        return Approved(SecretStr("token"), 30)

    monkeypatch.setattr(sessions, "read_graph", lambda _: SimpleNamespace(select=select))
    monkeypatch.setattr(sessions, "approve", approved)
    monkeypatch.setattr(sessions, "run_session", lambda session, token, _: run.append((session, token)))
    return asked, run


def test_a_session_until_decided_is_approved_for_its_most_episodes_and_names_no_order(asked_and_run):
    asked, run = asked_and_run
    sessions.approved_sessions("evaluate", "rehearsal", ["cube_lift"], 200, 1.0, "decided", "monday")
    ((cell, name, task, episodes, _, purpose),) = asked
    assert (cell, name, task, episodes) == ("rehearsal", "monday", "cube_lift", 200)
    assert "base and base + residual in an order that is hidden" in purpose
    ((session, token),) = run
    assert (session.until, session.episodes, token.get_secret_value()) == ("decided", 30, "token")


def test_in_the_twin_a_session_until_decided_asks_nobody(asked_and_run):
    asked, run = asked_and_run
    sessions.approved_sessions("evaluate", "twin", None, 200, 1.0, "decided")
    assert not asked and [(session.tabletop_task, token) for session, token in run] == [
        ("cube_lift", None),
        ("stack_cube", None),
    ]
    with pytest.raises(ValueError, match="a flow runs sessions in rehearsal, got 'twin'"):
        sessions.approved_sessions("rollout", "twin", None, 2, 1.0)
    with pytest.raises(
        ValueError, match="session monday must come with one tabletop task in tasks, got cube_lift, stack_cube"
    ):
        sessions.approved_sessions("evaluate", "twin", None, 200, 1.0, "decided", "monday")


def test_the_most_episodes_of_a_flow_are_those_of_the_stopping_rule():
    from flows.evaluate import MOST_EPISODES
    from ocrrl.rollouts.sequential_test import StoppingRule

    assert 2 * StoppingRule().most_pairs == MOST_EPISODES
