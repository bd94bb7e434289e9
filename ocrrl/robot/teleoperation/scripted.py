"""A scripted demonstrator as a teleoperation device, for twins."""

from collections.abc import Callable

import numpy as np

from ocrrl.interface.actions import limit
from ocrrl.interface.observations import Observation
from ocrrl.interface.protocols import Capture, Policy
from ocrrl.robot.cell.arm_environment import ArmEnvironment
from ocrrl.robot.teleoperation.device import DeviceReading
from ocrrl.tabletop.parts.scene import SceneState

_ONLY = np.array([0])  # the one arm of a cell


class DemonstratorDevice:
    """A demonstrator's actions in a cell of one arm, from what the cell has `seen` last."""

    def __init__(self, demonstrator: Policy, seen: Callable[[], Observation], capture: Capture) -> None:
        self._demonstrator, self._seen, self._capture = demonstrator, seen, capture

    def begin(self, seed: int) -> None:
        self._demonstrator.reset(_ONLY, [seed])

    def read(self) -> DeviceReading:
        return DeviceReading(limit(self._demonstrator.act(self._seen(), _ONLY, self._capture))[0])

    def follow(self, opening: float) -> None:
        pass

    def end(self) -> None:
        pass

    def close(self) -> None:
        pass


class TrackedStates:
    """A cell's objects as its tracker sees them, for a scripted demonstrator that plans on true ones.

    A `sim.teleoperator.TrueStateEnvironment` of one arm; true as far as the tracker is right.
    """

    num_envs = 1

    def __init__(self, cell: ArmEnvironment) -> None:
        self._cell = cell

    @property
    def commanded_pose(self) -> np.ndarray:
        return self._cell.commanded_pose

    def true_state(self) -> SceneState:
        seen = self._cell.seen
        return SceneState(
            gripper_pose=seen.gripper_pose,
            gripper_width=seen.gripper_width,
            object_poses=seen.object_poses,
            object_speed=np.zeros(seen.object_poses.shape[:2]),
        )
