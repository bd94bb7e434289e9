"""A session of rollouts in which a person steps in."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ocrrl.episodes.episode_store import read_episode
from ocrrl.robot.teleoperation.scripted_intervener import ScriptedIntervener, StallRule
from ocrrl.robot.teleoperation.spacemouse import SpaceMouse
from ocrrl.sessions import stepping_in
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from ocrrl.tabletop.cube_lift import Scene as CubeLift
from tests.robot.teleoperation.test_devices import PLAIN, FakeMouse
from tests.sessions.test_policy_session import EVALUATE, FOLDER, ROLLOUT, command, described, project, token

__all__ = ["command", "project", "token"]  # fixtures
SPACEMOUSE = (*ROLLOUT, "--intervene", "spacemouse")


@pytest.fixture
def hand(monkeypatch):
    """A SpaceMouse whose button is held at the given control steps, counted over all episodes, and that is lost at others."""

    def plug_in(held=(), lost=(), pushed=-1.0):
        class Hand(SpaceMouse):
            count = -1

            def read(self):
                self.count += 1
                mouse.unplugged = self.count in lost
                mouse.report((0, self.count in held), z=pushed)
                return super().read()

        mouse = FakeMouse()
        monkeypatch.setattr(stepping_in, "open_device", lambda name, axes: Hand(mouse, PLAIN))
        return mouse

    return plug_in


def test_interventions_are_marked_in_the_episode_and_noted_in_the_session(project, command, token, hand):
    mouse = hand(held=range(5, 9))  # the first reading is before the episode
    code, out, err = command(*SPACEMOUSE, "--episodes", 2, token=token(2))
    assert code == 0, err
    assert "Hold the right button to take over from the policy, let go to give back." in out
    assert "failure after 12 steps, 1 intervention of 4 steps" in out
    first, second = described()["attempts"]
    assert first["interventions"] == [[4, 8]] and "interventions" not in second
    assert described()["runs"][0]["intervener"] == "spacemouse" and mouse.closed
    stepped, alone = (read_episode(FOLDER / attempt["episode"]) for attempt in (first, second))
    assert np.flatnonzero(stepped.intervention).tolist() == [4, 5, 6, 7] and alone.intervention is None
    np.testing.assert_allclose(stepped.action[4:8, :3], [[0, 0, -0.02]] * 4, atol=1e-7)
    assert not stepped.residual[4:8].any() and stepped.residual[8:].any()


def test_a_session_without_interventions_is_noted_as_before(project, command, token, hand):
    hand()
    code, _, err = command(*ROLLOUT, "--episodes", 1, token=token(1))
    assert code == 0, err
    assert "intervener" not in described()["runs"][0] and "interventions" not in described()["attempts"][0]


def test_a_device_that_vanishes_in_mid_hold_ends_the_episode_as_a_fault_that_is_kept(project, command, token, hand):
    hand(held=range(3, 99), lost=range(7, 99))
    code, out, err = command(*SPACEMOUSE, "--episodes", 2, token=token(2))
    assert code == 1
    assert (
        "the SpaceMouse must stay plugged in" in err
        and "plug it in and start again" in err
        and len(err.splitlines()) == 1
    )
    assert "episode 1 of 2 (corrected): ended by a fault: the SpaceMouse must stay plugged in" in out
    assert "The same command with --session monday continues it." in out
    (only,) = described()["attempts"]
    assert (only["aborted_by"], only["steps"], only["interventions"]) == ("fault", 6, [[2, 6]])
    assert len(read_episode(FOLDER / only["episode"])) == 6
    hand(held=range(3, 5))
    code, out, err = command(*SPACEMOUSE, "--episodes", 2, token=token(1))
    assert code == 0, err
    assert "2 episodes recorded, 0 succeeded, 1 ended by a fault" in out


def test_a_script_steps_in_in_a_rehearsal_where_the_policy_stalls(project, command, token, monkeypatch):
    monkeypatch.setattr(CubeLift, "task", replace(CUBE_LIFT, horizon=90))
    monkeypatch.setattr(
        stepping_in,
        "ScriptedIntervener",
        lambda *given: ScriptedIntervener(*given, StallRule(patience=5, brought_on=1.0)),
    )
    code, out, err = command(*ROLLOUT, "--intervene", "scripted", "--episodes", 1, token=token(1))
    assert code == 0, err
    (attempt,) = described()["attempts"]
    assert attempt["success"] and len(attempt["interventions"]) == 1, out
    assert attempt["interventions"][0][1] == attempt["steps"], "until the task was solved"


def test_where_nobody_may_step_in_it_is_refused(project, command, hand):
    code, _, err = command("rollout", "cube_lift", "--cell", "fr3", "--intervene", "scripted", "--episodes", 1)
    assert code == 1 and "must be spacemouse or gamepad in cell fr3, got scripted: no script drives a robot" in err
    code, _, err = command("rollout", "cube_lift", "--intervene", "gamepad")
    assert code == 1 and "--intervene must come with a session's --cell" in err
    with pytest.raises(SystemExit):
        command(*EVALUATE, "--episodes", 2, "--intervene", "gamepad")
    assert not FOLDER.exists()


def test_a_device_that_is_not_there_is_refused_before_anybody_is_asked(project, command, monkeypatch):
    def missing(name, axes):
        raise RuntimeError("a gamepad must be plugged in and readable (group input), got none")

    monkeypatch.setattr(stepping_in, "open_device", missing)
    code, _, err = command(*ROLLOUT, "--intervene", "gamepad", "--episodes", 1)
    assert code == 1 and "a gamepad must be plugged in" in err
    assert not (FOLDER / "session.json").exists() or not json.loads((FOLDER / "session.json").read_text())["attempts"]
