"""A cell of scripted parts: arm, camera, tracker and operator do what a test says, on the arm's clock."""

import numpy as np

from ocrrl.interface.fr3_chain import FR3
from ocrrl.interface.frames import Frame, Intrinsics
from ocrrl.interface.protocols import Abort, PoseEstimate
from ocrrl.perception.tracking.asynchronous_tracker import PostureHistory
from ocrrl.perception.tracking.pose_gate import PoseGate
from ocrrl.robot.cell.arm_environment import ArmEnvironment
from ocrrl.robot.cell.cell_images import CameraView, CellCamera
from ocrrl.robot.safety.safety_gate import SafetyGate
from ocrrl.robot.safety.safety_limits import SafetyLimits
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from tests.robot.cell.scripted_arm import ScriptedArm

OBJECT = np.array([0.5, 0.1, 0.02, 1.0, 0.0, 0.0, 0.0])


class ScriptedCamera:
    """A frame whenever it is asked for one, unless `failure` says why not."""

    def __init__(self, arm: ScriptedArm) -> None:
        self._arm, self.failure, self.closed = arm, "", False

    def latest(self) -> Frame:
        if self.failure:
            raise RuntimeError(self.failure)
        colour = np.full((48, 64, 3), int(self._arm.time * 100) % 256, np.uint8)
        depth = np.ones((48, 64), np.float32)
        return Frame(
            colour, depth, self._arm.time, Intrinsics(64, 48, 60, 60, 32, 24), np.array([1.0, 0, 1, 1, 0, 0, 0])
        )

    def close(self) -> None:
        self.closed = True


class ScriptedTracker:
    """Sees `pose` with `confidence`, as of now unless `frozen`; in place of an `AsynchronousTracker`."""

    def __init__(self, arm: ScriptedArm) -> None:
        self._arm, self.pose, self.confidence, self.failure = arm, OBJECT.copy(), 1.0, ""
        self.frozen: float | None = None
        self.closed = False

    def reset(self, now: float) -> None:
        self.frozen = None

    def latest(self) -> PoseEstimate:
        if self.failure:
            raise RuntimeError(self.failure)
        captured = self._arm.time if self.frozen is None else self.frozen
        return PoseEstimate(captured, self.pose[None].copy(), np.array([self.confidence]))

    def close(self) -> None:
        self.closed = True


class ScriptedOperator:
    """Lets everything happen; `events` lists what it was asked to do."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.allows, self.is_solved, self.says_solved, self.reason = True, False, False, ""
        self.ended_by, self.stopped_it = "operator", False

    def clear(self) -> None:
        self.events.append("clear")

    def set_up(self, seed: int) -> None:
        self.events.append(f"set up {seed}")

    def enabled(self) -> bool:
        return self.allows

    def solved(self) -> bool:
        return self.is_solved

    def said_solved(self) -> bool:
        return self.says_solved

    def ended(self) -> Abort | None:
        return Abort(self.ended_by, self.reason) if self.reason else None

    def stopped_arm(self, fault: str) -> bool:
        self.events.append(f"lost: {fault}")
        return self.stopped_it

    def close(self) -> None:
        self.events.append("close")


class ScriptedCell:
    """The parts, and the environment that they make."""

    def __init__(self, inspected=lambda arm, operator: arm, **limits) -> None:
        """`inspected` puts an arm of its own between gate and arm."""
        self.arm, self.operator = ScriptedArm(), ScriptedOperator()
        self.inspector = inspected(self.arm, self.operator)
        self.sleep = self.arm.pass_time
        self.camera, self.tracker = ScriptedCamera(self.arm), ScriptedTracker(self.arm)
        self.gate = SafetyGate(self.inspector, SafetyLimits(**limits), FR3, self.operator.enabled)
        front = CellCamera(self.camera, CameraView.around(0, 0, 48, (48, 48)), {"serial": "scripted"})
        self.environment = ArmEnvironment(
            cell="scripted",
            task=CUBE_LIFT,
            arm=self.gate,
            cameras={"front": front},
            tracker=self.tracker,
            postures=PostureHistory(),
            poses=PoseGate(),
            operator=self.operator,
            parts=(self.gate, self.tracker, self.camera, self.operator),
            sleep=lambda seconds: self.sleep(seconds),
        )

    def step(self, x=0.0, y=0.0, z=0.0, opening=1.0):
        """Observe and take one step by (x, y, z) [m]."""
        self.environment.observe()
        action = np.array([[x, y, z, 0.0, 0.0, 0.0, opening]])
        return self.environment.step(action, np.array([0]))
