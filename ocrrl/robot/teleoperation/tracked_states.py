"""A cell's objects as its tracker sees them, for a scripted demonstrator that plans on true ones."""

import numpy as np

from ocrrl.robot.cell.arm_environment import ArmEnvironment
from ocrrl.tabletop.parts.scene import SceneState


class TrackedStates:
    """A `sim.teleoperator.TrueStateEnvironment` of one arm; true as far as the tracker is right."""

    num_envs = 1

    def __init__(self, cell: ArmEnvironment) -> None:
        self._cell = cell

    @property
    def seeds(self) -> list[int]:
        return self._cell.seeds

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
