"""The scene of a tabletop task: objects, initial states, staged reward and success."""

# pyright: reportAttributeAccessIssue=false
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from jaxtyping import Bool, Float

from ocrrl.interface import rotations
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.tabletop.parts.object_states import ObjectStates

if TYPE_CHECKING:
    import mujoco


@dataclass(frozen=True)
class SceneState:
    """True state of N environments, from which rewards, success and demonstrations are computed."""

    gripper_pose: Float[np.ndarray, "N 7"]
    gripper_width: Float[np.ndarray, " N"]
    object_poses: Float[np.ndarray, "N O 7"]
    object_speed: Float[np.ndarray, "N O"]
    """[m/s], over the last control step; 0 right after a reset."""

    def object_in_gripper(self, index: int) -> Float[np.ndarray, "N 3"]:
        """Position of object `index` in the gripper frame [m]: x along the pads, y the closing axis, z the approach."""
        offset = self.object_poses[:, index, :3] - self.gripper_pose[:, :3]
        return rotations.rotate(rotations.conjugate(self.gripper_pose[:, 3:]), offset)


class TabletopScene(Protocol):
    """One tabletop task in the simulator; `Scene` in the task's own file implements it."""

    task: TabletopTask

    def add_objects(self, spec: "mujoco.MjSpec") -> None:
        """Add the task's bodies, joints and geoms."""
        ...

    def object_states(self, model: "mujoco.MjModel", num_envs: int) -> ObjectStates:
        """How the compiled scene holds the tracked objects; `FreeObjects` where each is a body with a free joint."""
        ...

    def initial_object_poses(self, generator: np.random.Generator) -> Float[np.ndarray, "O 7"]:
        """Poses drawn for one episode's start."""
        ...

    def stage_rewards(self, state: SceneState) -> dict[str, Float[np.ndarray, " N"]]:
        """The reward's stages by name (Table 3), in order; their sum, clipped to [0, 1], is the reward."""
        ...

    def solved(self, state: SceneState) -> Bool[np.ndarray, " N"]:
        """Whether the goal is met at this instant; success must last `task.success_hold` steps."""
        ...
