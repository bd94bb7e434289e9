"""What an arm must never be told, judged right before it, by rules of its own."""

from collections.abc import Callable, Sequence

import numpy as np

from ocrrl.interface import rotations
from ocrrl.interface.actions import ROTATION_LEASH, TRANSLATION_LEASH
from ocrrl.interface.fr3_chain import FR3, JOINT_LIMITS
from ocrrl.robot.arm.arm import READY, Applied, Arm, ArmCommand, ArmState
from ocrrl.robot.cell.arm_environment import PERIOD, TIME_TO_LIVE
from ocrrl.robot.safety.safety_limits import SafetyLimits

LIMITS = SafetyLimits()


class Inspector:
    """An `Arm` right before the real one: notes what an arm must never be told, and when it was told to hold."""

    def __init__(self, arm: Arm, allowed: Callable[[], bool]) -> None:
        self.arm, self._allowed = arm, allowed
        self._before: ArmCommand | None = None
        self.unsafe: list[str] = []
        self.rests: list[float] = []
        self.commands = 0

    def now(self) -> float:
        return self.arm.now()

    def state(self) -> ArmState:
        return self.arm.state()

    def command(self, command: ArmCommand) -> Applied:
        self.commands += 1
        self.unsafe += self._wrong_with(command)
        self._before = command
        return self.arm.command(command)

    def hold(self) -> None:
        self._rest()
        self.arm.hold()

    def stop(self) -> None:
        self._rest()
        self.arm.stop()

    def recover(self) -> None:
        self.arm.recover()

    def home(self, joint_positions: Sequence[float]) -> None:
        self._before = None
        self.arm.home(joint_positions)

    def close(self) -> None:
        self.arm.close()

    def _rest(self) -> None:
        self._before = None
        try:
            self.rests.append(self.arm.now())
        except RuntimeError:
            self.rests.append(self.rests[-1] if self.rests else 0.0)

    def _wrong_with(self, command: ArmCommand) -> list[str]:
        state, now, pose = self.arm.state(), self.arm.now(), command.pose
        if not (np.isfinite(pose).all() and np.isfinite(command.opening)):
            return ["not finite"]
        off = pose[:3] - state.gripper_pose[:3]
        turn = rotations.to_rotation_vector(rotations.multiply(pose[3:], rotations.conjugate(state.gripper_pose[3:])))
        came_from = state.gripper_pose if self._before is None else self._before.pose
        since = PERIOD if self._before is None else min(now - self._before.issued, 2 * PERIOD)
        step = np.linalg.norm(pose[:3] - came_from[:3])
        angle = rotations.angle_between(came_from[3:], pose[3:])
        w, x, y, z = pose[3:]
        joints = FR3.step_towards(state.joint_positions[None], pose[None])[0]
        checks = {
            "not a rotation": abs(np.linalg.norm(pose[3:]) - 1.0) > 1e-6,
            "outside the workspace": (pose[:3] < LIMITS.workspace_low).any()
            or (pose[:3] > LIMITS.workspace_high).any(),
            "too fast": step > LIMITS.max_speed * since + 1e-6,
            "turned too fast": angle > LIMITS.max_rotation_speed * since + 1e-4,
            "tilted": np.arccos(np.clip(x * x + y * y - w * w - z * z, -1.0, 1.0)) > LIMITS.max_tilt + 1e-6,
            "beyond the leash": np.linalg.norm(off) > TRANSLATION_LEASH + 1e-6
            or np.linalg.norm(turn) > ROTATION_LEASH + 1e-6,
            "opening beyond [0, 1]": not 0.0 <= command.opening <= 1.0,
            "older than its time to live": now - command.issued > min(command.time_to_live, TIME_TO_LIVE) + 1e-9,
            "from the future": command.issued > now,
            "a joint at its limit": (joints < JOINT_LIMITS[:, 0]).any() or (joints > JOINT_LIMITS[:, 1]).any(),
            "to an arm that is not ready": state.mode != READY,
            "from an old state": now - state.time > LIMITS.max_state_age,
            "without the operator": not self._allowed(),
        }
        return [name for name, wrong in checks.items() if wrong]
