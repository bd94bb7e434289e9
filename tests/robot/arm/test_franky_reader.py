"""The arm that is only read: whatever state it is in, nothing is asked of it but its state, and of the hand nothing."""

import sys

import numpy as np
import pytest

from ocrrl.interface.tabletop_tasks import HOME_JOINTS
from ocrrl.robot.arm.arm import READY
from ocrrl.robot.arm.franky_reader import ArmSection, open_franky_reader
from tests.robot.cell.scripted_arm import HOME
from tests.robot.cell.watched_robot import RobotMode, WatchedFranky


@pytest.fixture
def franky(monkeypatch):
    franky = WatchedFranky()
    monkeypatch.setitem(sys.modules, "franky", franky)
    return franky


@pytest.mark.parametrize("mode", list(RobotMode))
def test_reading_asks_for_the_state_and_for_nothing_else(franky, mode):
    franky.mode, franky.time = mode, 2.5
    reader = open_franky_reader(ArmSection("10.0.0.9", enforce_realtime=False, collision_torque=15.0))
    state = reader.state()
    assert (state.time, reader.now()) == (2.5, 2.5)
    np.testing.assert_allclose(state.joint_positions, HOME_JOINTS)
    np.testing.assert_allclose(state.gripper_pose, HOME)
    assert np.isnan(state.gripper_width)
    assert state.mode == READY if mode in (RobotMode.Idle, RobotMode.Move) else state.mode.startswith(mode.name)
    reader.close()
    assert franky.asked == ["Robot 10.0.0.9 15 Nm 30 N ignore", "state", "state"]
    assert franky.alive == 0, "closing lets go of the robot"


def test_its_clock_does_not_go_back(franky):
    reader = open_franky_reader(ArmSection("10.0.0.9"))
    franky.time = 3.0
    assert reader.now() == 3.0
    franky.time = 2.9
    assert reader.now() == 3.0


def test_a_robot_that_cannot_be_read_is_said(franky):
    reader = open_franky_reader(ArmSection("10.0.0.9"))
    franky.lost = "connection reset"
    with pytest.raises(RuntimeError, match="the state could not be read: connection reset"):
        reader.state()
    with pytest.raises(RuntimeError, match="the clock could not be read: connection reset"):
        reader.now()
    with pytest.raises(RuntimeError, match=r"robot 10\.0\.0\.9 cannot be reached: connection reset\. .*FCI activated"):
        open_franky_reader(ArmSection("10.0.0.9"))
    reader.close()
    with pytest.raises(RuntimeError, match="must be open to be read, it was closed"):
        reader.state()


def test_without_franky_its_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "franky", None)
    with pytest.raises(RuntimeError, match=r"pip install 'ocrrl\[robot\]'"):
        open_franky_reader(ArmSection("10.0.0.9"))
