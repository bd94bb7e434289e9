"""An arm on a clock of its own that goes where it is told at once, and fails when a test says so."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ocrrl.interface.fr3_chain import FR3
from ocrrl.interface.observations import GRIPPER_DOWN, MAX_GRIPPER_WIDTH
from ocrrl.interface.tabletop_tasks import HOME_JOINTS
from ocrrl.robot.arm.arm import READY, Applied, ArmCommand, ArmState

HOME = FR3.gripper_pose(np.array([HOME_JOINTS]))[0]


class ScriptedArm:
    """`received` lists what it was told, in order: commands, "hold", "stop", "recover", "home", "close"."""

    def __init__(self) -> None:
        self.time = 0.0
        self.measured = ArmState(0.0, HOME.copy(), np.array(HOME_JOINTS), MAX_GRIPPER_WIDTH)
        self.frozen = self.unreachable = False
        self.received: list[ArmCommand | str] = []

    def pass_time(self, seconds: float) -> None:
        self.time += seconds
        if not self.frozen:
            self.measured = replace(self.measured, time=self.time)

    def now(self) -> float:
        return self.time

    def state(self) -> ArmState:
        self._answer()
        return self.measured

    def command(self, command: ArmCommand) -> Applied:
        self._answer()
        self.received.append(command)
        joints = FR3.step_towards(self.measured.joint_positions[None], command.pose[None])[0]
        pose = FR3.gripper_pose(joints[None])[0]
        self.measured = replace(self.measured, gripper_pose=pose, joint_positions=joints)
        return Applied(command)

    def hold(self) -> None:
        self._told("hold")

    def stop(self) -> None:
        self._told("stop")

    def recover(self) -> None:
        self._told("recover")
        self.measured = replace(self.measured, mode=READY)

    def home(self, joint_positions: Sequence[float]) -> None:
        self._told("home")
        joints = np.array(joint_positions, float)
        pose = FR3.gripper_pose(joints[None])[0]
        self.measured = replace(self.measured, gripper_pose=pose, joint_positions=joints)

    def close(self) -> None:
        self.received.append("close")

    def _told(self, what: str) -> None:
        self._answer()
        self.received.append(what)

    def _answer(self) -> None:
        if self.unreachable:
            raise RuntimeError("connection lost")


def down(x: float, y: float, z: float) -> np.ndarray:
    """A pose that points down."""
    return np.concatenate([[x, y, z], GRIPPER_DOWN])
