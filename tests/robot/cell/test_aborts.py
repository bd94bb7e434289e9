"""Whose doing it was that an episode of an arm's cell ended: the operator's, the arm's, or a technical fault."""

from dataclasses import replace

import pytest

from ocrrl.interface.protocols import Abort
from tests.robot.cell.scripted_cell import ScriptedCell
from tests.robot.cell.test_arm_environment import ONE, broken_arm, broken_camera


@pytest.fixture
def cell():
    cell = ScriptedCell()
    cell.environment.reset(ONE, [7])
    return cell


@pytest.mark.parametrize(
    ("mode", "by"),
    [
        ('Reflex ["cartesian_reflex"]', "arm"),
        ("UserStopped", "arm"),
        ('its motion ended: ["communication_constraints_violation"]', "fault"),
        ("the gripper failed: connection lost", "fault"),
    ],
)
def test_a_reflex_is_the_arm_s_doing_unless_messages_or_the_hand_were_lost(cell, mode, by):
    cell.step(0.01)
    cell.arm.measured = replace(cell.arm.measured, mode=mode)
    aborted = cell.step(0.01).aborted
    assert aborted.by == by and mode in aborted.why


def test_a_reflex_is_told_from_a_lost_connection_though_the_command_failed_first(cell):
    def refused(command):
        cell.arm.measured = replace(cell.arm.measured, mode='Reflex ["cartesian_reflex"]')
        raise RuntimeError("it must be recovered first")

    cell.step(0.01)
    cell.arm.command = refused
    aborted = cell.step(0.01).aborted
    assert aborted.by == "arm" and "out_of_reach" in aborted.why and "cartesian_reflex" in aborted.why


@pytest.mark.parametrize(("stopped_it", "by"), [(True, "operator"), (False, "fault")])
def test_of_a_lost_arm_the_operator_says_whether_they_stopped_it(cell, stopped_it, by):
    cell.step(0.01)
    cell.operator.stopped_it = stopped_it
    broken_arm(cell)
    aborted = cell.step(0.01).aborted
    assert aborted.by == by and "connection lost" in aborted.why
    assert cell.operator.events[-1] == f"lost: {aborted.why}"


def test_of_a_hand_that_failed_nobody_is_asked_unless_the_arm_is_lost_with_it(cell):
    cell.operator.stopped_it = True
    cell.step(0.01)
    cell.arm.measured = replace(cell.arm.measured, mode="the gripper failed: connection lost")
    assert cell.step(0.01).aborted.by == "fault"
    assert not [event for event in cell.operator.events if event.startswith("lost")]
    broken_arm(cell)
    assert cell.step(0.01).aborted.by == "operator"


def test_of_lost_messages_the_operator_is_asked(cell):
    cell.operator.stopped_it = True
    cell.step(0.01)
    cell.arm.measured = replace(cell.arm.measured, mode='Reflex ["communication_constraints_violation"]')
    assert cell.step(0.01).aborted.by == "operator"


def test_of_a_camera_nobody_is_asked_and_the_operator_s_stop_comes_before_its_fault(cell):
    cell.step(0.01)
    broken_camera(cell)
    cell.environment.capture(ONE)
    assert cell.step(0.01).aborted == Abort("fault", "camera front: device lost")
    assert not [event for event in cell.operator.events if event.startswith("lost")]
    cell.operator.reason = "the operator stopped the arm"
    assert cell.step(0.01).aborted.by == "operator"


def test_of_a_terminal_that_was_closed_nobody_is_asked_and_it_is_no_failure_of_the_policy(cell):
    cell.step(0.01)
    cell.operator.allows, cell.operator.stopped_it = False, True
    cell.operator.ended_by, cell.operator.reason = "fault", "the terminal was closed"
    assert cell.step(0.01).aborted == Abort("fault", "the terminal was closed")
    assert cell.arm.received[-1] == "hold"
    assert not [event for event in cell.operator.events if event.startswith("lost")]


def hold_until_stopped(cell):
    for _ in range(30):
        cell.arm.pass_time(0.05)
        cell.gate.watch()
    assert cell.gate.stopped


def test_an_arm_that_held_too_long_is_blamed_on_what_it_held_for(cell):
    cell.step(0.01)
    hold_until_stopped(cell)
    assert cell.step(0.01).aborted.by == "arm" and cell.gate.stopped_for == "no_command"
    cell.environment.reset(ONE, [8])
    cell.step(0.01)
    cell.arm.frozen = True
    hold_until_stopped(cell)
    assert cell.step(0.01).aborted.by == "fault" and cell.gate.stopped_for == "stale_state"


def test_an_arm_that_cannot_be_told_to_rest_is_still_watched(cell):
    cell.step(0.01)
    broken_arm(cell)
    with pytest.raises(RuntimeError, match="connection lost"):
        cell.gate.hold()
    cell.gate.watch()
    assert cell.gate.stopped and cell.gate.stopped_for == "out_of_reach"


@pytest.mark.parametrize(
    ("mode", "by"),
    [
        ('Reflex ["cartesian_reflex"]', "arm"),
        ("the gripper failed: connection lost", "fault"),
        ('its motion ended: ["communication_constraints_violation"]', "fault"),
    ],
)
def test_an_arm_that_the_watchdog_stops_after_its_command_is_told_by_the_same_rule(cell, mode, by):
    cell.step(0.01)

    def met_while_waiting(seconds):
        cell.arm.pass_time(seconds)
        cell.arm.measured = replace(cell.arm.measured, mode=mode)
        cell.gate.watch()

    cell.sleep = met_while_waiting
    aborted = cell.step(0.01).aborted
    assert aborted.by == by and mode in aborted.why and cell.gate.stopped
