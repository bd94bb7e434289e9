"""The real driver franky against franky-sim over loopback: no robot, but every byte of the way to one."""

import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from ocrrl.interface import rotations
from ocrrl.interface.fr3_chain import FR3
from ocrrl.interface.tabletop_tasks import HOME_JOINTS
from ocrrl.robot.arm.arm import READY, ArmCommand
from ocrrl.robot.arm.franky_reader import ArmSection
from ocrrl.robot.arm.gripper_thread import GripperThread
from ocrrl.robot.safety.safety_gate import SafetyGate
from ocrrl.robot.safety.safety_limits import SafetyLimits
from ocrrl.robot.safety.watchdog import Watchdog
from tests.robot.arm.slow_hand import SlowHand

franky = pytest.importorskip("franky")
PATIENCE = 60.0  # [s] of wall time, on a busy machine


@pytest.fixture
def server():
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.robot.arm.franka_server"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def arm(server):
    from ocrrl.robot.arm.franky_arm import FrankyArm

    arm = FrankyArm(ArmSection(server.stdout.readline().strip(), enforce_realtime=False))
    yield arm
    arm.close()


def wait_for(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited {PATIENCE} s for {what}"
        time.sleep(0.01)


def drive(gate, target, opening=1.0, steps=40):
    """Twenty commands a second of the robot's clock, until `steps` were taken: a busy machine may be late with some."""
    end = time.monotonic() + PATIENCE
    while steps:
        now = gate.now()
        applied = gate.command(ArmCommand(target, opening, now, 0.2))
        assert applied.refused == "" or applied.refused.startswith(("stale_command", "stale_state")), applied.refused
        assert time.monotonic() < end, f"waited {PATIENCE} s for commands to be taken"
        steps -= not applied.refused
        while gate.now() < now + 0.05:
            time.sleep(0.002)


def test_the_arm_goes_where_it_is_told_holds_in_silence_and_is_stopped(arm):
    gate = SafetyGate(arm, SafetyLimits(), FR3, lambda: True)
    start = gate.state()
    assert start.mode == READY
    turn = rotations.from_rotation_vector(np.array([0.0, 0.0, 0.2]))
    target = np.concatenate(
        [start.gripper_pose[:3] + np.array([0.04, 0.03, -0.05]), rotations.multiply(turn, start.gripper_pose[3:])]
    )
    drive(gate, target)
    reached = gate.state().gripper_pose
    assert np.linalg.norm(reached[:3] - target[:3]) < 0.01
    error = rotations.to_rotation_vector(rotations.multiply(target[3:], rotations.conjugate(reached[3:])))
    assert np.linalg.norm(error) < 0.05

    with Watchdog(gate):
        gate.command(ArmCommand(target, 1.0, gate.now(), 0.15))
        wait_for(lambda: any(fault.cause == "no_command" for fault in gate.faults), "the watchdog to hold")
        wait_for(lambda: gate.stopped, "the watchdog to stop")
        assert gate.command(ArmCommand(target, 1.0, gate.now(), 0.15)).refused.startswith("stopped")
        gate.recover()
        drive(gate, target, steps=3)
        gate.home(HOME_JOINTS)
        wait_for(
            lambda: np.linalg.norm((gate.state().gripper_pose - start.gripper_pose)[:3]) < 3e-3, "the arm to come home"
        )


def test_the_hand_closes_and_opens_while_the_arm_moves(arm):
    gate = SafetyGate(arm, SafetyLimits(), FR3, lambda: True)
    here = gate.state().gripper_pose
    drive(gate, here, opening=0.0, steps=30)
    wait_for(lambda: gate.state().gripper_width < 0.01, "the hand to close")
    drive(gate, here, opening=0.8, steps=3)
    assert gate.state().gripper_width < 0.01, "in between it stays as it is"
    drive(gate, here, opening=1.0, steps=30)
    wait_for(lambda: gate.state().gripper_width > 0.07, "the hand to open")


def test_the_fingers_are_seen_on_their_way(arm):
    wait_for(lambda: arm.state().gripper_width > 0.035, "the width")
    begun = arm.state().gripper_width
    arm._gripper.want(0.0)
    seen = []
    wait_for(lambda: seen.append(arm.state().gripper_width) or seen[-1] < 0.004, "the hand to close")
    on_the_way = {width for width in seen if 0.006 < width < begun - 0.004}
    assert len(on_the_way) >= 3, sorted(set(seen))


def test_fingers_that_were_stopped_on_their_way_open_on_the_way_home(arm):
    gate = SafetyGate(arm, SafetyLimits(), FR3, lambda: True)
    drive(gate, gate.state().gripper_pose, opening=1.0, steps=3)
    wait_for(lambda: gate.state().gripper_width > 0.07, "the hand to open")
    drive(gate, gate.state().gripper_pose, opening=0.0, steps=1)
    wait_for(lambda: gate.state().gripper_width < 0.065, "the hand to close")
    gate.stop()
    time.sleep(0.5)
    stayed = gate.state().gripper_width
    assert stayed > 0.01, "the fingers closed after they were stopped"
    gate.recover()
    gate.home(HOME_JOINTS)
    wait_for(lambda: gate.state().gripper_width > 0.07, "the hand to open")


def test_the_hand_turns_soon_after_its_target(arm):
    start = arm.state().gripper_pose
    turned = rotations.multiply(rotations.from_rotation_vector(np.array([0.0, 0.0, 0.3])), start[3:])
    told = arm.now()
    arm.command(ArmCommand(np.concatenate([start[:3], turned]), 1.0, told, 0.2))
    wait_for(lambda: arm.now() >= told + 0.3, "the arm's clock")
    behind = rotations.angle_between(arm.state().gripper_pose[3:], turned)
    assert behind < 0.2 * 0.3, "with franky's own damping a third of the turn is left"


def test_a_server_that_dies_is_an_arm_that_cannot_be_reached(server, arm):
    gate = SafetyGate(arm, SafetyLimits(), FR3, lambda: True)
    here = gate.state().gripper_pose
    drive(gate, here, steps=3)
    issued = gate.now()
    assert not gate.command(ArmCommand(here, 1.0, issued, 0.15)).refused
    server.kill()
    server.wait()

    def refused():
        time.sleep(0.05)
        return gate.command(ArmCommand(here, 1.0, issued, 0.15)).refused  # its clock stands still: it grows no older

    wait_for(refused, "a command to be refused")
    assert gate.faults[0].cause in ("out_of_reach", "not_ready") and gate.stopped


def test_after_a_motion_that_ended_unasked_nothing_is_followed_until_it_is_recovered(arm):
    """franky-sim raises no reflexes (test_reflexes.py has them), but a motion that somebody else stops ends all the same."""
    gate = SafetyGate(arm, SafetyLimits(), FR3, lambda: True)
    here = gate.state().gripper_pose
    drive(gate, here, steps=3)
    arm._robot.stop()
    wait_for(lambda: gate.state().mode != READY, "the motion to end")
    for _ in range(3):
        refused = gate.command(ArmCommand(here, 1.0, gate.now(), 0.15)).refused
        assert "not_ready: " in refused and "its motion ended" in refused
    with pytest.raises(RuntimeError, match=r"the command was not taken: its motion ended: .*must be recovered first"):
        arm.command(ArmCommand(here, 1.0, gate.now(), 0.15))
    with pytest.raises(RuntimeError, match=r"the arm did not come home: its motion ended: .*must be recovered first"):
        arm.home(HOME_JOINTS)
    gate.recover()
    drive(gate, here, steps=3)


def test_a_motion_that_another_thread_ends_as_the_arm_is_told_to_hold_is_no_error(arm, monkeypatch):
    gate = SafetyGate(arm, SafetyLimits(), FR3, lambda: True)
    drive(gate, gate.state().gripper_pose, steps=3)
    reads = [arm._tracker]  # the first one; then it is gone
    taken_away = property(lambda self: reads.pop() if reads else None, lambda self, tracker: None)
    monkeypatch.setattr(type(arm), "_tracker", taken_away, raising=False)
    arm.hold()
    assert reads == []


def test_the_arm_is_stopped_before_its_hand_and_the_hand_though_the_arm_fails(arm, monkeypatch):
    asked, stop = [], arm._robot.stop
    monkeypatch.setattr(arm._robot, "stop", lambda: asked.append("arm") or stop())
    monkeypatch.setattr(arm._gripper, "stop", lambda: asked.append("hand"))
    arm.stop()
    assert asked == ["arm", "hand"]

    def fails():
        raise RuntimeError("connection lost")

    monkeypatch.setattr(arm._robot, "stop", fails)
    with pytest.raises(RuntimeError, match="the arm could not be stopped: connection lost"):
        arm.stop()
    assert asked == ["arm", "hand", "hand"]


def go_away(gate, joint):
    """An arm at rest, its first joint turned by `joint` [rad], that follows."""
    away = np.array(HOME_JOINTS) + np.array([joint, 0, 0, 0, 0, 0, 0])
    gate.home(away)
    drive(gate, gate.state().gripper_pose, opening=0.0, steps=3)
    return gate.state().joint_positions


@pytest.mark.parametrize("moment", ["while the tracking ends", "as the motion begins"])
def test_a_stop_on_the_way_home_is_not_lost_though_no_motion_has_begun_yet(arm, moment, monkeypatch):
    gate = SafetyGate(arm, SafetyLimits(), FR3, lambda: True)
    away = go_away(gate, 0.4)
    reached, went_on = threading.Event(), threading.Event()
    where, what = (arm._tracker, "stop") if moment == "while the tracking ends" else (arm._robot, "move")
    waits_for_it = getattr(where, what)

    def wait_first(*arguments, **named):
        if not reached.is_set():
            reached.set()
            assert went_on.wait(PATIENCE)
        return waits_for_it(*arguments, **named)

    monkeypatch.setattr(where, what, wait_first)
    raised = []

    def home():
        with pytest.raises(RuntimeError) as error:
            gate.home(HOME_JOINTS)
        raised.append(str(error.value))

    homing = threading.Thread(target=home)
    homing.start()
    assert reached.wait(PATIENCE)
    gate.stop()
    went_on.set()
    homing.join(PATIENCE)
    assert raised and "must be recovered first" in raised[0]
    time.sleep(0.5)
    assert np.abs(gate.state().joint_positions - away).max() < 0.1, "the arm went home after it was stopped"
    with pytest.raises(RuntimeError, match="must be recovered first"):
        arm.home(HOME_JOINTS)
    with pytest.raises(RuntimeError, match="must be recovered first"):
        arm.command(ArmCommand(gate.state().gripper_pose, 1.0, gate.now(), 0.15))
    gate.recover()
    gate.home(HOME_JOINTS)
    wait_for(lambda: np.abs(gate.state().joint_positions - HOME_JOINTS).max() < 0.02, "the arm to come home")


def test_a_robot_with_another_hand_is_refused(server):
    """Its targets would be off by the difference: the first one would be a leap."""
    from ocrrl.robot.arm.franky_arm import FrankyArm

    address = server.stdout.readline().strip()
    longer = np.eye(4)
    longer[2, 3] = 0.02
    franky.Robot(address, realtime_config=franky.RealtimeConfig.Ignore).set_ee(longer.ravel(order="F").tolist())
    with pytest.raises(RuntimeError, match=r"must have the Franka Hand .* got one that is 20\.0 mm and 0\.0 deg off"):
        FrankyArm(ArmSection(address, enforce_realtime=False))


def test_a_robot_is_read_through_the_real_driver(server):
    from ocrrl.robot.arm.franky_reader import open_franky_reader

    reader = open_franky_reader(ArmSection(server.stdout.readline().strip(), enforce_realtime=False))
    state = reader.state()
    assert state.mode == READY and np.isnan(state.gripper_width)
    np.testing.assert_allclose(state.joint_positions, HOME_JOINTS, atol=0.01)
    wait_for(lambda: reader.now() > state.time, "the robot's clock")
    reader.close()


def test_recovering_the_arm_brings_back_its_hand(arm):
    """The real driver: the hand's thread has died, the arm says so, and after `recover` both follow again."""
    gate = SafetyGate(arm, SafetyLimits(), FR3, lambda: True)
    here = gate.state().gripper_pose
    broken = SlowHand()
    broken.broken = True
    arm._gripper.close()
    arm._gripper = GripperThread(lambda: broken)
    arm._gripper._connect = arm._homed_hand
    arm._gripper.want(0.0)
    wait_for(lambda: gate.state().mode != READY, "the failure")
    assert gate.state().mode == "the gripper failed: no more air"
    assert "no more air" in gate.command(ArmCommand(here, 1.0, gate.now(), 0.15)).refused
    gate.recover()
    assert gate.state().mode == READY
    drive(gate, here, opening=0.0, steps=30)
    wait_for(lambda: gate.state().gripper_width < 0.01, "the hand to close")


def test_a_motion_that_ended_together_with_the_hand_is_told_as_the_arms(arm):
    gate = SafetyGate(arm, SafetyLimits(), FR3, lambda: True)
    drive(gate, gate.state().gripper_pose, steps=3)
    arm._gripper.failure = "the gripper failed: no more air"
    arm._robot.stop()
    wait_for(lambda: "its motion ended" in gate.state().mode, "the motion to end")
    assert "gripper" not in gate.state().mode
