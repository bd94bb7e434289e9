"""A cell as the control loop sees it: paced on the arm's clock, and at rest when a part of it fails."""

import errno
import termios
from dataclasses import replace

import h5py
import numpy as np
import pytest
import zmq

from ocrrl.episodes import hdf5_in_memory
from ocrrl.interface.protocols import Abort
from ocrrl.robot.cell.guarded_cell import NotFit
from ocrrl.robot.operator.cell_operator import EndedByOperator
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.rollout_recorder import RolloutRecorder
from ocrrl.sessions.recording_session import SessionConfig, record_session
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from tests.full_disk import Full
from tests.robot.cell.scripted_arm import HOME
from tests.robot.cell.scripted_cell import OBJECT, ScriptedCell
from tests.robot.teleoperation.played_device import PlayedDevice
from tests.sessions.test_recording_session import ScriptedOperator

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

    def reset(self, ids, seeds):
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


def test_what_the_operator_called_a_success_counts_at_the_horizon_though_it_did_not_last(cell):
    for seen, said, counts in ((True, False, False), (True, True, True)):
        cell.environment.reset(ONE, [7])
        cell.operator.is_solved = cell.operator.says_solved = False
        for _ in range(CUBE_LIFT.horizon - 1):
            assert not cell.step().success[0]
        cell.operator.is_solved, cell.operator.says_solved = seen, said
        result = cell.step()
        assert bool(result.success[0]) is counts and not result.aborted
        assert cell.arm.received[-1] == "hold"


def stopped_by_the_operator(cell):
    cell.operator.allows, cell.operator.reason = False, "the operator stopped the arm"


def in_reflex(cell):
    cell.arm.measured = replace(cell.arm.measured, mode="Reflex")


def out_of_reach(cell):
    cell.arm.unreachable = True


@pytest.mark.parametrize("end", [stopped_by_the_operator, in_reflex, out_of_reach])
def test_what_ends_an_episode_that_was_called_a_success_leaves_it_one_and_the_arm_at_rest(cell, end):
    cell.step(0.01)
    cell.operator.is_solved = cell.operator.says_solved = True
    assert not cell.step(0.01).success[0]
    moved = [told for told in cell.arm.received if not isinstance(told, str)]
    end(cell)
    result = cell.step(0.01)
    assert result.success[0] and result.aborted is None
    assert [told for told in cell.arm.received if not isinstance(told, str)] == moved
    assert not [event for event in cell.operator.events if event.startswith("lost")]


def test_an_episode_that_the_operator_ends_is_aborted_with_the_arm_at_rest(cell):
    cell.step(0.01)
    cell.operator.reason = "the operator said stop"
    assert cell.step(0.01).aborted == Abort("operator", "the operator said stop")
    assert cell.arm.received[-1] == "hold"


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
    assert not outcome.success and outcome.steps in (11, 12) and reason in outcome.aborted.why
    assert outcome.aborted.by == "fault"
    assert len(recorder.episodes[7]) == outcome.steps and not recorder.episodes[7].attributes.success
    moved = [told for told in cell.arm.received if not isinstance(told, str)]
    assert len(moved) <= 11


def test_a_clock_that_stands_still_ends_the_episode(cell):
    cell.step(0.01)
    cell.sleep = lambda seconds: None
    aborted = cell.step(0.01).aborted
    assert aborted.by == "fault" and "the arm's clock must advance" in aborted.why


def test_poses_that_are_old_are_shown_as_lost(cell):
    cell.tracker.frozen = cell.arm.time
    for _ in range(6):
        cell.step()
    seen = cell.environment.observe()
    assert not seen.visible()[0, 0] and seen.object_confidence[0, 0] == 1.0  # the tracker's own


def test_an_object_that_is_not_found_ends_the_start_and_says_which():
    cell = ScriptedCell()
    cell.tracker.confidence = 0.2
    with pytest.raises(RuntimeError, match=r"cuboid \(0.20\).*where the camera sees it"):
        cell.environment.reset(ONE, [7])


@pytest.mark.parametrize("fail", [broken_camera, broken_tracker])
def test_after_a_lasting_fault_no_episode_begins_and_nothing_moves(cell, fail):
    fail(cell)
    cell.environment.capture(ONE), cell.step()
    cell.operator.events.clear(), cell.arm.received.clear()
    with pytest.raises(NotFit, match=r"(device lost|tracking ended).*nothing has moved"):
        cell.environment.reset(ONE, [8])
    assert cell.operator.events == [] and cell.arm.received == []


def test_a_part_that_comes_back_is_waited_for(cell):
    broken_camera(cell)
    back = cell.arm.time + 1.0

    def sleep(seconds):
        cell.arm.pass_time(seconds)
        if cell.arm.time > back:
            cell.camera.failure = ""

    cell.sleep = sleep
    cell.environment.reset(ONE, [8])
    assert cell.operator.events[-1] == "set up 8" and not cell.step().aborted


def test_a_stopped_arm_is_recovered_for_the_next_episode(cell):
    cell.gate.stop()
    assert cell.step().aborted.why.startswith("stopped")
    cell.environment.reset(ONE, [8])
    assert cell.arm.received[-2:] == ["recover", "home"]
    assert not cell.step(0.01).aborted


def test_an_arm_in_reflex_is_recovered_before_it_goes_home():
    """It may have been so before we came, and its gate knows of no stop."""
    cell = ScriptedCell()
    cell.arm.measured = replace(cell.arm.measured, mode="Reflex")
    cell.environment.reset(ONE, [8])
    assert cell.operator.events[0] == "clear" and cell.arm.received == ["recover", "home"]


@pytest.mark.parametrize("error", [RuntimeError, OSError, termios.error, zmq.ZMQError, KeyboardInterrupt])
def test_closing_lets_go_of_every_part_whatever_one_raises(cell, error):
    def fails():
        raise error(5, "cannot stop") if error in (OSError, zmq.ZMQError) else error("cannot stop")

    cell.arm.close = fails
    with pytest.raises(RuntimeError if issubclass(error, Exception) else error, match="cannot stop"):
        cell.environment.close()
    assert cell.camera.closed and cell.tracker.closed and cell.operator.events[-1] == "close"


def test_an_operator_who_stops_the_arm_before_the_policy_moves_it_ends_the_session(cell):
    cell.tracker.confidence = 0.0

    def looking(seconds):
        cell.arm.pass_time(seconds)
        cell.operator.reason = "the operator stopped the arm"

    cell.sleep = looking
    with pytest.raises(EndedByOperator, match="the operator stopped the arm before the episode began"):
        cell.environment.reset(ONE, [8])


def test_a_stop_on_the_way_home_ends_the_session_and_a_failure_there_is_one(cell):
    def stopped_on_the_way(joints):
        raise RuntimeError("the arm did not come home: it was stopped")

    cell.arm.home = stopped_on_the_way
    with pytest.raises(RuntimeError, match="did not come home") as failed:
        cell.environment.reset(ONE, [8])
    assert not isinstance(failed.value, EndedByOperator)
    cell.operator.reason = "the operator stopped the arm"
    with pytest.raises(EndedByOperator, match="before the episode began") as ended:
        cell.environment.reset(ONE, [8])
    assert "did not come home" in str(ended.value.__cause__)


def test_poses_that_grow_old_are_a_fault_once_until_they_are_new_again(cell):
    def causes():
        return [fault.cause for fault in cell.gate.faults]

    cell.step()
    cell.tracker.frozen = cell.arm.time
    for _ in range(8):
        cell.step()
    assert causes() == ["stale_pose"]
    cell.tracker.frozen = None
    cell.step()
    cell.tracker.frozen = cell.arm.time
    for _ in range(8):
        cell.step()
    assert causes() == ["stale_pose"] * 2


def test_a_camera_that_fails_and_a_loop_that_breaks_are_faults_with_their_cause(cell):
    def broken(t):
        raise ValueError("the policy broke")

    broken_camera(cell)
    cell.environment.capture(ONE)
    cell.environment.capture(ONE)
    assert [(f.cause, f.detail) for f in cell.gate.faults] == [("no_observation", "camera front: device lost")]
    cell.camera.failure = ""
    with pytest.raises(ValueError, match="the policy broke"):
        run_episodes(cell.environment, Base(broken), None, [8])
    assert cell.gate.faults[-1].cause == "loop_failed" and cell.arm.received[-1] == "hold"


def test_a_disk_that_is_full_is_a_fault_of_the_loop_and_the_arm_holds_though_the_log_is_full_too(
    cell, tmp_path, monkeypatch
):
    def log_is_full(fault):
        raise OSError(errno.ENOSPC, "No space left on device", "faults.jsonl")

    class Device(PlayedDevice):
        def read(self):
            if self._next == 25:
                monkeypatch.setattr(hdf5_in_memory.os, "sendfile", Full(0))
                monkeypatch.setattr(cell.gate, "_on_fault", log_is_full)
            return super().read()

    device, operator = Device([np.array([0, 0, -0.001, 0, 0, 0, 1.0])] * 60), ScriptedOperator()
    with pytest.raises(OSError, match=r"No space left on device: .*episode_000000\.h5\.partial"):
        record_session(cell.environment, device, operator, tmp_path, [7], SessionConfig(episodes=1))
    assert cell.gate.faults[-1].cause == "loop_failed" and "No space left" in cell.gate.faults[-1].detail
    assert cell.arm.received[-1] == "hold" and not cell.gate.stopped
    with h5py.File(tmp_path / "interrupted" / "episode_000000.h5") as file:
        assert len(file["action"]) == 21


def test_an_episode_of_a_policy_that_may_not_fit_on_the_disk_ends_before_it_moves_the_arm(cell, tmp_path, monkeypatch):
    def little(folder, needed, purpose):
        raise OSError(errno.ENOSPC, f"{purpose} needs {needed} bytes on the disk of {folder}")

    monkeypatch.setattr("ocrrl.files.require_room", little)
    recorder = RolloutRecorder(cell.environment, "policy", folder=tmp_path)
    recorder.seeds = {8}
    begun = len(cell.arm.received)
    with pytest.raises(OSError, match="an episode up to the horizon needs"):
        run_episodes(cell.environment, Base(), None, [8], recorder)
    assert cell.gate.faults[-1].cause == "loop_failed" and recorder.unfinished() == {}
    assert all(isinstance(command, str) for command in cell.arm.received[begun:]), "home and hold, and no command"
