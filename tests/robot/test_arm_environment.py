"""A cell as the control loop sees it: paced on the arm's clock, and at rest when a part of it fails."""

from dataclasses import replace

import numpy as np
import pytest

from ocrrl.datasets.episode_store import read_episode
from ocrrl.interface.actions import CONTROL_HZ, advance_command
from ocrrl.interface.tabletop_tasks import CUBE_LIFT
from ocrrl.robot.arm import Applied
from ocrrl.robot.recording_session import SessionConfig, record_session
from ocrrl.robot.teleoperation.scripted import PlayedDevice
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.rollout_recorder import RolloutRecorder

from .scripted_arm import HOME
from .scripted_cell import OBJECT, ScriptedCell

ONE = np.array([0])


@pytest.fixture
def cell():
    cell = ScriptedCell()
    cell.environment.reset(ONE, [7])
    return cell


class Base:
    """Down, slowly; `before` is called before each action."""

    def __init__(self, before=lambda t: None):
        self._before, self._t = before, 0

    def reset(self, ids):
        self._t = 0

    def act(self, observation, ids, capture):
        self._before(self._t)
        self._t += 1
        capture(ids)
        return np.array([[0.0, 0.0, -0.001, 0.0, 0.0, 0.0, 1.0]])


def test_an_episode_begins_with_the_table_set_and_the_arm_at_home(cell):
    assert cell.operator.events == ["clear", "set up 7"]
    assert cell.arm.received == ["home"]
    seen = cell.environment.observe()
    np.testing.assert_allclose(seen.gripper_pose[0], HOME, atol=1e-12)
    np.testing.assert_array_equal(seen.object_poses[0, 0], OBJECT)


def test_a_step_lasts_a_control_period_on_the_arms_clock(cell):
    for _ in range(40):
        cell.step()
    periods = np.array(cell.environment.periods)
    assert abs(periods.mean() - 0.05) < 0.001 and periods.max() < 0.055


def test_a_step_that_was_late_is_not_made_up_for(cell):
    cell.step()
    cell.arm.pass_time(0.1)
    cell.step()
    cell.step()
    assert cell.environment.periods[-1] > 0.045


def test_an_action_moves_the_command_by_itself(cell):
    cell.step(0.01, 0.0, -0.01)
    np.testing.assert_allclose(cell.arm.received[-1].pose[:3], HOME[:3] + np.array([0.01, 0.0, -0.01]), atol=1e-6)
    assert cell.arm.received[-1].opening == 1.0
    cell.step(0.0, 0.0, 0.0, opening=0.2)
    assert cell.arm.received[-1].opening == 0.0  # the gripper map of the interface


def test_a_command_is_as_old_as_the_observation_that_it_answers(cell):
    observed = cell.arm.time
    cell.environment.observe()
    cell.arm.pass_time(0.1)
    cell.environment.step(np.array([[0.0] * 6 + [1.0]]), ONE)
    assert cell.arm.received[-1].issued == observed


def test_an_answer_that_took_too_long_is_refused_and_the_next_one_goes_on(cell):
    cell.environment.observe()
    cell.arm.pass_time(0.3)
    result = cell.environment.step(np.array([[0.01] + [0.0] * 5 + [1.0]]), ONE)
    assert cell.arm.received[-1] == "hold" and not result.aborted
    assert cell.gate.faults[-1].cause == "stale_command"
    assert not cell.step(0.01).aborted and cell.arm.received[-1] != "hold"


def test_success_is_the_operators_word_and_must_last(cell):
    results = []
    for k in range(25):
        cell.operator.is_solved = k not in (0, 5)
        results.append(bool(cell.step().success[0]))
    assert results.index(True) == 5 + CUBE_LIFT.success_hold


def test_an_episode_that_the_operator_ends_is_aborted_with_the_arm_at_rest(cell):
    cell.step(0.01)
    cell.operator.reason = "the operator said stop"
    assert cell.step(0.01).aborted == "the operator said stop" and cell.arm.received[-1] == "hold"


ASKED = np.array([0.015, 0.0, -0.005, 0.0, 0.0, 0.03, 1.0])


def recorded(cell, folder, actions):
    """The episode of a hand that asks for `actions`."""
    cell.operator.name, cell.operator.confirm = "Ada", lambda question: True
    record_session(cell.environment, PlayedDevice(list(actions)), cell.operator, folder, [7], SessionConfig(1))
    return read_episode(folder / "successes" / "episode_000000.h5")


def assert_actions_lead_from_each_commanded_pose_to_the_next(episode):
    for action, before, after in zip(episode.action, episode.commanded_pose, episode.commanded_pose[1:], strict=False):
        np.testing.assert_allclose(advance_command(before, before, action), after, atol=1e-7)


def test_where_nothing_binds_the_recorded_actions_are_those_asked_for(tmp_path):
    episode = recorded(ScriptedCell(), tmp_path, [ASKED] * 10)
    np.testing.assert_array_equal(episode.action, [ASKED] * 10)
    assert_actions_lead_from_each_commanded_pose_to_the_next(episode)


def test_a_speed_limit_that_binds_shows_in_the_recorded_actions(tmp_path):
    cell = ScriptedCell(max_speed=0.2, max_rotation_speed=0.4)
    episode = recorded(cell, tmp_path, [ASKED] * 10)
    np.testing.assert_allclose(np.linalg.norm(episode.action[:, :3], axis=1), 0.2 / CONTROL_HZ, atol=5e-4)
    np.testing.assert_allclose(episode.action[:, 5], 0.4 / CONTROL_HZ, atol=1e-3)
    assert_actions_lead_from_each_commanded_pose_to_the_next(episode)
    sent = [told.pose for told in cell.arm.received if not isinstance(told, str)]
    pose = episode.commanded_pose[0]
    for action, commanded in zip(episode.action, sent, strict=True):
        pose = advance_command(pose, pose, action)
        np.testing.assert_allclose(pose, commanded, atol=1e-7)


def test_the_leash_of_an_arm_that_is_blocked_shows_in_the_recorded_actions(tmp_path):
    cell = ScriptedCell()
    cell.arm.command = Applied
    episode = recorded(cell, tmp_path, [ASKED] * 10)
    np.testing.assert_array_equal(episode.action[0], ASKED)
    assert np.abs(episode.action[5:, :3]).max() < 0.005, "at the end of its leash it cannot go on"
    np.testing.assert_allclose(episode.action[:, 5], ASKED[5], atol=1e-9)
    assert_actions_lead_from_each_commanded_pose_to_the_next(episode)


def test_a_refused_command_is_recorded_as_no_motion_with_the_gripper_as_it_was(cell, tmp_path):
    closing = np.array([0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1])
    cell.environment.observe()
    assert cell.environment.step(closing[None], ONE).applied_action.tolist() == [closing.tolist()]
    cell.environment.observe()
    cell.arm.pass_time(0.3)
    result = cell.environment.step(np.array([[0.0, 0.01, 0.0, 0.0, 0.0, 0.0, 1.0]]), ONE)
    np.testing.assert_array_equal(result.applied_action, [[0, 0, 0, 0, 0, 0, 0.1]])
    assert cell.gate.faults[-1].cause == "stale_command"


def test_a_rollout_s_rows_hold_what_was_applied_beside_what_base_and_residual_asked_for():
    cell = ScriptedCell(max_speed=0.01)

    def before(t):
        if t == 12:
            cell.operator.reason = "the operator said it failed"

    recorder = RolloutRecorder(cell.environment, "policy")
    recorder.seeds = {7}
    (outcome,) = run_episodes(cell.environment, Base(before), None, [7], recorder)
    episode = recorder.episodes[7]
    assert len(episode) == outcome.steps == 13
    np.testing.assert_allclose(episode.base_action[:, 2], -0.001)
    np.testing.assert_allclose(episode.action[:12, 2], -0.01 / CONTROL_HZ, atol=3e-5)
    np.testing.assert_array_equal(episode.action[12], [0, 0, 0, 0, 0, 0, 1])
    assert_actions_lead_from_each_commanded_pose_to_the_next(episode)


def broken_camera(cell):
    cell.camera.failure = "device lost"


def broken_tracker(cell):
    cell.tracker.failure = "tracking ended"


def broken_arm(cell):
    cell.arm.unreachable = True


@pytest.mark.parametrize(
    ("fail", "reason"),
    [(broken_camera, "camera front: device lost"), (broken_tracker, "tracking ended"), (broken_arm, "connection lost")],
)
def test_a_part_that_fails_ends_the_episode_with_its_cause_and_what_was_recorded_is_kept(fail, reason):
    cell = ScriptedCell()
    recorder = RolloutRecorder(cell.environment, "policy", cell.environment.calibration(), {})
    recorder.seeds = {7}

    def before(t):
        if t == 10:
            fail(cell)

    (outcome,) = run_episodes(cell.environment, Base(before), None, [7], recorder)
    assert not outcome.success and outcome.steps in (11, 12) and reason in outcome.aborted
    assert len(recorder.episodes[7]) == outcome.steps and not recorder.episodes[7].attributes.success
    moved = [told for told in cell.arm.received if not isinstance(told, str)]
    assert len(moved) <= 11


def test_a_clock_that_stands_still_ends_the_episode(cell):
    cell.step(0.01)
    cell.sleep = lambda seconds: None
    assert "the arm's clock must go on" in cell.step(0.01).aborted


def test_poses_that_are_old_are_shown_as_lost(cell):
    cell.tracker.frozen = cell.arm.time
    for _ in range(6):
        cell.step()
    assert cell.environment.observe().object_confidence[0, 0] == 0.0


def test_an_object_that_is_not_found_ends_the_start_and_says_which():
    cell = ScriptedCell()
    cell.tracker.confidence = 0.2
    with pytest.raises(RuntimeError, match=r"cuboid \(0.20\).*where the camera sees it"):
        cell.environment.reset(ONE, [7])


def test_a_stopped_arm_is_recovered_for_the_next_episode(cell):
    cell.gate.stop()
    assert cell.step().aborted.startswith("stopped")
    cell.environment.reset(ONE, [8])
    assert cell.arm.received[-2:] == ["recover", "home"]
    assert not cell.step(0.01).aborted


def test_an_arm_in_reflex_is_recovered_before_it_goes_home():
    """It may have been so before we came, and its gate knows of no stop."""
    cell = ScriptedCell()
    cell.arm.measured = replace(cell.arm.measured, mode="Reflex")
    cell.environment.reset(ONE, [8])
    assert cell.operator.events[0] == "clear" and cell.arm.received == ["recover", "home"]


def test_closing_lets_go_of_every_part_whatever_one_says(cell):
    def fails():
        raise RuntimeError("cannot stop")

    cell.arm.close = fails
    with pytest.raises(RuntimeError, match="cannot stop"):
        cell.environment.close()
    assert cell.camera.closed and cell.tracker.closed and cell.operator.events[-1] == "close"
