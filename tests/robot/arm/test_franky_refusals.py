"""A robot that is not there, or whose hand is not fit, is refused when it is connected; no server is needed for it."""

from types import SimpleNamespace

import numpy as np
import pytest

from ocrrl.interface.fr3_chain import HAND_YAW, TCP
from ocrrl.robot.arm.franky_reader import ArmSection

franky = pytest.importorskip("franky")
OUR_HAND = SimpleNamespace(
    translation=[0.0, 0.0, TCP], quaternion=[0.0, 0.0, np.sin(HAND_YAW / 2), np.cos(HAND_YAW / 2)]
)


def test_a_hand_that_was_not_homed_is_refused_with_what_to_do(monkeypatch):
    from ocrrl.robot.arm.franky_arm import FrankyArm

    class Hand:
        max_width = width = 0.0

        def __init__(self, host):
            pass

    robot = SimpleNamespace(state=SimpleNamespace(F_T_EE=OUR_HAND))
    monkeypatch.setattr(franky, "Robot", lambda *address, **config: robot)
    monkeypatch.setattr(franky, "Gripper", Hand)
    with pytest.raises(RuntimeError, match=r"the hand of 10\.0\.0\.9 must be homed.*Desk, end effector, homing"):
        FrankyArm(ArmSection("10.0.0.9"))


def test_a_robot_that_is_not_there_is_named():
    from ocrrl.robot.arm.franky_arm import FrankyArm

    with pytest.raises(RuntimeError, match=r"robot 127\.9\.9\.9 cannot be reached: .*FCI activated"):
        FrankyArm(ArmSection("127.9.9.9", enforce_realtime=False))
