"""No command that is unsafe or old reaches the arm, and every fault holds it and is told."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from ocrrl.interface import rotations
from ocrrl.interface.fr3_chain import FR3, JOINT_LIMITS
from ocrrl.interface.tabletop_tasks import HOME_JOINTS
from ocrrl.robot.safety.safety_limits import SafetyLimits
from ocrrl.robot.safety.unsafe_targets import pulled_towards
from tests.robot.cell.scripted_arm import HOME
from tests.robot.safety.gate_rig import PERIOD, Rig


@pytest.fixture
def rig():
    rig = Rig()
    assert rig.send().refused == ""
    return rig


def moved(x=0.0, y=0.0, z=0.0, turn=(0.0, 0.0, 0.0)):
    quaternion = rotations.multiply(rotations.from_rotation_vector(np.array(turn)), HOME[3:])
    return np.concatenate([HOME[:3] + np.array([x, y, z]), quaternion])


def test_a_safe_command_goes_through_as_it_is(rig):
    applied = rig.send(moved(x=0.01, turn=(0.0, 0.0, 0.05)), opening=0.3)
    assert applied.changed == () and applied.refused == ""
    np.testing.assert_allclose(rig.last.pose, moved(x=0.01, turn=(0.0, 0.0, 0.05)), atol=1e-9)
    assert rig.last.opening == 0.3 and rig.told == []


@pytest.mark.parametrize(
    ("cause", "command"),
    [
        ("not_finite", {"pose": [np.nan, *HOME[1:]]}),
        ("not_finite", {"opening": np.inf}),
        ("not_a_rotation", {"pose": [*HOME[:3], 0.0, 1.1, 0.0, 0.0]}),
        ("stale_command", {"age": 0.15}),
        ("stale_command", {"age": -0.01}),
        ("stale_command", {"age": 0.21, "time_to_live": 5.0}),
        ("jump", {"pose": moved(x=0.11)}),
        ("jump", {"pose": moved(turn=(0.0, 0.0, 0.7))}),
    ],
)
def test_an_unsafe_command_is_refused_and_the_arm_holds_at_once(rig, cause, command):
    before = len(rig.arm.received)
    applied = rig.send(**command)
    assert applied.command is None and applied.refused.startswith(f"{cause}: ")
    assert rig.arm.received[before:] == ["hold"]
    assert [fault.cause for fault in rig.told] == [cause] and rig.told[0].time == rig.arm.time


def test_a_target_far_outside_the_workspace_is_refused_and_one_just_outside_pulled_back():
    rig = Rig(workspace_high=(float(HOME[0]) + 0.01, 0.4, 0.6), max_speed=10.0)
    applied = rig.send(moved(x=0.03))
    assert applied.changed == ("workspace",) and rig.last.pose[0] == pytest.approx(HOME[0] + 0.01)
    assert rig.send(moved(x=0.05)).refused.startswith("workspace: ") and rig.last == "hold"


def test_a_tilted_hand_is_refused():
    rig = Rig(max_tilt=0.3)
    assert rig.send(moved(turn=(0.0, 0.25, 0.0))).refused == ""
    assert rig.send(moved(turn=(0.0, 0.45, 0.0))).refused.startswith("tilt: 0.45 rad")


def test_speed_is_limited_by_the_time_since_the_last_command():
    rig = Rig(max_speed=0.2, leash=0.5)
    rig.send()
    applied = rig.send(moved(x=0.05))
    assert applied.changed == ("speed",)
    assert np.linalg.norm(rig.last.pose[:3] - HOME[:3]) == pytest.approx(0.2 * PERIOD)
    rig.arm.pass_time(10.0)  # however long the pause, no leap follows
    rig.send(moved(x=0.05))
    assert np.linalg.norm(rig.last.pose[:3] - HOME[:3]) <= 0.2 * (PERIOD + 0.1) + 1e-9


def test_the_target_stays_on_the_leash_of_a_blocked_arm():
    rig = Rig(leash=0.03)
    rig.arm.command = lambda command: rig.arm.received.append(command)  # goes nowhere
    for k in range(1, 6):
        applied = rig.send(moved(x=0.01 * k))
        assert np.linalg.norm(rig.last.pose[:3] - HOME[:3]) <= 0.03 + 1e-9
    assert applied.changed == ("leash",)


@pytest.mark.parametrize("joint", range(7))
def test_no_joint_is_brought_to_its_limit(joint):
    rig = Rig(workspace_low=(-2, -2, -2), workspace_high=(2, 2, 2), max_tilt=4.0)
    q = rig.arm.measured.joint_positions.copy()
    q[joint] = JOINT_LIMITS[joint, 1] - 0.06
    further = q.copy()
    further[joint] += 0.05
    rig.arm.measured = replace(rig.arm.measured, joint_positions=q, gripper_pose=FR3.gripper_pose(q[None])[0])
    target = FR3.gripper_pose(further[None])[0]
    ahead = FR3.step_towards(q[None], target[None])[0]
    applied = rig.send(target)
    would = (ahead < JOINT_LIMITS[:, 0] + 0.05) | (ahead > JOINT_LIMITS[:, 1] - 0.05)
    assert applied.refused.startswith("joint_limit: ") == bool(would.any())
    back = q.copy()
    back[joint] -= 0.05
    assert "joint_limit" not in rig.send(FR3.gripper_pose(back[None])[0]).refused


def test_silence_is_held_within_its_time_to_live_and_stopped_when_it_lasts(rig):
    rig.arm.pass_time(0.09)
    rig.gate.watch()
    assert rig.last != "hold"
    rig.arm.pass_time(0.02)
    rig.gate.watch()
    assert rig.last == "hold" and rig.told[-1].cause == "no_command"
    rig.arm.pass_time(0.9)
    rig.gate.watch()
    assert rig.last == "hold" and not rig.gate.stopped
    rig.arm.pass_time(0.2)
    rig.gate.watch()
    assert rig.last == "stop" and rig.gate.stopped and rig.told[-1].cause == "held_too_long"


def test_an_arm_that_holds_is_not_told_again(rig):
    for _ in range(5):
        rig.send(pose=[np.nan] * 7)
        rig.gate.watch()
    assert rig.arm.received.count("hold") == 1 and len(rig.told) == 5


def test_an_arm_on_its_way_home_can_be_stopped(rig):
    begun, stopped = threading.Event(), threading.Event()

    def home(joint_positions):
        begun.set()
        assert stopped.wait(10.0), "stop had to wait for the arm to come home"

    def go_home():
        with pytest.raises(RuntimeError, match=r"stopped on its way home \(on demand\)"):
            rig.gate.home(HOME_JOINTS)
        raised.set()

    rig.arm.home = home
    raised = threading.Event()
    going = threading.Thread(target=go_home)
    going.start()
    assert begun.wait(10.0)
    stopping = threading.Thread(target=rig.gate.stop)
    stopping.start()
    stopping.join(5.0)
    came_through = rig.last == "stop"
    stopped.set()
    going.join()
    assert came_through and rig.gate.stopped and raised.is_set()


def test_an_arm_that_sets_out_as_it_is_stopped_is_stopped_again(rig):
    def home(joint_positions):
        rig.gate.stop()
        rig.arm.received.append("moves all the same")
        rig.gate.watch()
        assert rig.last == "stop"

    rig.arm.home = home
    with pytest.raises(RuntimeError, match="stopped on its way home"):
        rig.gate.home(HOME_JOINTS)
    told = len(rig.arm.received)
    rig.gate.watch()
    assert len(rig.arm.received) == told, "at rest it is left alone"


def test_an_operator_who_withdraws_motion_stops_an_arm_on_its_way_home(rig):
    def home(joint_positions):
        rig.gate.watch()
        assert rig.arm.received[-1] != "stop"
        rig.enabled = False
        watching = threading.Thread(target=rig.gate.watch)
        watching.start()
        watching.join(5.0)

    rig.arm.home = home
    with pytest.raises(RuntimeError, match=r"stopped on its way home \(not_enabled: "):
        rig.gate.home(HOME_JOINTS)
    assert rig.last == "stop" and rig.gate.stopped and rig.told[-1].cause == "not_enabled"


def test_an_arm_in_another_mode_does_not_go_home_and_says_why(rig):
    rig.arm.measured = replace(rig.arm.measured, mode="UserStopped (release it)")
    with pytest.raises(RuntimeError, match=r"must be ready, got UserStopped \(release it\)"):
        rig.gate.home(HOME_JOINTS)
    assert "home" not in rig.arm.received


def test_a_good_command_ends_a_hold_but_not_a_stop(rig):
    rig.send(pose=[np.nan] * 7)
    assert rig.send(moved(x=0.005)).refused == ""
    rig.gate.stop()
    assert rig.send().refused.startswith("stopped: ") and rig.last == "stop"
    rig.gate.recover()
    assert rig.send().refused == ""


def test_nothing_moves_before_the_operator_enables_it_nor_after(rig):
    rig.enabled = False
    rig.gate.watch()
    assert rig.last == "hold" and rig.told[-1].cause == "not_enabled"
    assert rig.send().refused.startswith("not_enabled: ")
    for attempt in (lambda: rig.gate.home(HOME_JOINTS), rig.gate.recover):
        with pytest.raises(RuntimeError, match="must be enabled by the operator"):
            attempt()
    assert "home" not in rig.arm.received


def test_an_old_state_is_held_and_an_arm_that_is_not_ready_is_stopped_until_a_person_looked(rig):
    rig.arm.frozen = True
    rig.arm.pass_time(0.06)
    assert rig.send().refused.startswith("stale_state: ")
    rig.arm.frozen = False
    rig.arm.pass_time(PERIOD)
    assert rig.send().refused == ""
    rig.arm.measured = replace(rig.arm.measured, mode="reflex")
    rig.gate.watch()
    assert rig.last == "stop" and rig.told[-1].cause == "not_ready" and "got reflex" in rig.told[-1].detail
    rig.arm.measured = replace(rig.arm.measured, mode="ready")
    assert "the arm was stopped (not_ready: " in rig.send().refused and rig.last == "stop"


@pytest.mark.parametrize("seen_by", ["watchdog", "next command"])
@pytest.mark.parametrize("off", [{"x": 0.12}, {"turn": (0.0, 0.0, 0.75)}])
def test_an_arm_that_is_far_from_what_it_follows_is_stopped(rig, seen_by, off):
    rig.send(moved())
    rig.arm.measured = replace(rig.arm.measured, gripper_pose=moved(**off))
    if seen_by == "watchdog":
        rig.gate.watch()
    else:
        assert rig.send(moved()).refused.startswith("off_target: the arm is ")
    assert rig.arm.received[-1] == "stop" and rig.gate.stopped
    assert [fault.cause for fault in rig.told] == ["off_target"]
    rig.gate.recover()
    assert not rig.send(moved(**off)).refused, "it goes on from where it is"


def test_an_arm_out_of_reach_is_stopped_in_name_and_nothing_is_sent_when_it_is_back(rig):
    rig.arm.unreachable = True
    assert rig.send().refused.startswith("out_of_reach: ")
    assert rig.gate.stopped
    rig.arm.unreachable = False
    assert rig.send().refused.startswith("stopped: ")


@pytest.mark.parametrize("notice", [lambda rig: rig.send(), lambda rig: rig.gate.watch()])
def test_an_arm_out_of_reach_is_stopped_though_it_need_not_be_told_to_hold(rig, notice):
    """As one whose motion has ended: there is nothing to hold, and holding raises nothing."""

    def lost():
        raise RuntimeError("connection lost")

    rig.arm.state = lost
    notice(rig)
    assert rig.gate.stopped and [fault.cause for fault in rig.told] == ["out_of_reach"]


def test_at_rest_nothing_is_watched(rig):
    rig.gate.hold()
    told = len(rig.arm.received)
    rig.arm.pass_time(60.0)
    rig.gate.watch()
    assert len(rig.arm.received) == told and not rig.gate.stopped


def test_closing_stops_first(rig):
    rig.gate.close()
    assert rig.arm.received[-2:] == ["stop", "close"]


def test_pulling_goes_the_straight_way():
    target = moved(x=0.1, turn=(0.0, 0.0, 0.5))
    pulled = pulled_towards(HOME, target, 0.02, 0.1)
    np.testing.assert_allclose(pulled, moved(x=0.02, turn=(0.0, 0.0, 0.1)), atol=1e-9)
    np.testing.assert_allclose(pulled_towards(HOME, target, 1.0, 1.0), target, atol=1e-9)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("max_speed", 0.0, "max_speed must be a number above 0, got 0.0"),
        ("workspace_low", (0.8, -0.4, 0.0), "workspace_low must be below workspace_high"),
        ("workspace_high", (0.7, 0.4), "workspace_high must be three finite numbers"),
        ("hold_before_stop", float("nan"), "hold_before_stop must be a number above 0"),
    ],
)
def test_bad_limits_are_refused_by_name(field, value, said):
    with pytest.raises(ValueError, match=said):
        SafetyLimits(**{field: value})
