"""What an arm's cell records is what its limits let through, so that the recorded actions lead where the arm was sent."""

import numpy as np

from ocrrl.episodes.episode_store import read_episode, write_episode
from ocrrl.interface.actions import CONTROL_HZ, advance_command
from ocrrl.robot.arm.arm import Applied
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.rollout_recorder import RolloutRecorder
from ocrrl.sessions.recording_session import SessionConfig, record_session
from tests.robot.cell.scripted_cell import ScriptedCell
from tests.robot.cell.test_arm_environment import ONE, Base
from tests.robot.teleoperation.played_device import PlayedDevice

ASKED = np.array([0.015, 0.0, -0.005, 0.0, 0.0, 0.03, 1.0])


def recorded(cell, folder, actions):
    """The episode of a hand that asks for `actions`."""
    cell.operator.name, cell.operator.confirm = "Ada", lambda question: True
    record_session(cell.environment, PlayedDevice(list(actions)), cell.operator, folder, [7], SessionConfig(1))
    return read_episode(folder / "successes" / "episode_000000.h5")


def assert_actions_lead_from_each_commanded_pose_to_the_next(episode):
    for action, before, after in zip(episode.action, episode.commanded_pose, episode.commanded_pose[1:], strict=False):
        np.testing.assert_allclose(advance_command(before, before, action), after, atol=1e-7)


def test_when_the_operator_has_said_how_it_went_the_arm_is_at_rest_and_no_fault(tmp_path):
    cell = ScriptedCell()
    recorded(cell, tmp_path, [ASKED] * 3)
    assert cell.arm.received[-1] == "hold"
    cell.arm.pass_time(60.0)
    cell.gate.watch()
    assert not cell.gate.faults and not cell.gate.stopped


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


def test_a_pose_that_the_gate_does_not_show_keeps_the_confidence_of_the_tracker(tmp_path):
    class Freezing(Base):
        def act(self, observation, ids, capture):
            cell.tracker.frozen = cell.tracker.frozen or cell.arm.time
            return super().act(observation, ids, capture)

    cell = ScriptedCell()
    recorder = RolloutRecorder(cell.environment, "policy")
    recorder.seeds = {7}
    run_episodes(cell.environment, Freezing(), None, [7], recorder)
    write_episode(tmp_path / "episode.h5", recorder.episodes[7])
    episode = read_episode(tmp_path / "episode.h5")
    assert (episode.object_confidence == 1.0).all()
    assert episode.object_visible[:3].all() and not episode.object_visible[6:].any()
    np.testing.assert_array_equal(episode.observation().visible(), episode.object_visible > 0)


def test_a_refused_command_is_recorded_as_no_motion_with_the_gripper_as_it_was():
    cell = ScriptedCell()
    cell.environment.reset(ONE, [7])
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
            cell.operator.reason = "the operator labelled it a failure"

    recorder = RolloutRecorder(cell.environment, "policy")
    recorder.seeds = {7}
    (outcome,) = run_episodes(cell.environment, Base(before), None, [7], recorder)
    episode = recorder.episodes[7]
    assert len(episode) == outcome.steps == 13
    np.testing.assert_allclose(episode.base_action[:, 2], -0.001)
    np.testing.assert_allclose(episode.action[:12, 2], -0.01 / CONTROL_HZ, atol=3e-5)
    np.testing.assert_array_equal(episode.action[12], [0, 0, 0, 0, 0, 0, 1])
    assert_actions_lead_from_each_commanded_pose_to_the_next(episode)
