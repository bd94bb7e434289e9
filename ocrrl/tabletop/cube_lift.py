"""Cube Lift: grasp a 12 x 4 x 4 cm cuboid and lift it 3 cm (Tables 3 and 4).

Initial states: centre anywhere in 20 x 30 cm of table, any yaw (the cuboid looks the same after half a turn).
"""

# pyright: reportAttributeAccessIssue=false
from typing import TYPE_CHECKING

import numpy as np

from ocrrl.interface import rotations
from ocrrl.interface.handled_object import Graspable
from ocrrl.interface.poses import square_prism_symmetry
from ocrrl.interface.tabletop_tasks import TabletopTask, TrackedObject
from ocrrl.tabletop.parts.grasping import across, add_box, axis_in_gripper, distance_to_axis, holds, reach, turned_down
from ocrrl.tabletop.parts.object_shapes import ON_END, UPRIGHT, Box, ObjectShape
from ocrrl.tabletop.parts.object_states import FreeObjects
from ocrrl.tabletop.parts.scene import SceneState
from ocrrl.tabletop.parts.waypoints import Waypoint

if TYPE_CHECKING:
    import mujoco

TASK = TabletopTask(
    slug="cube_lift",
    instruction="grasp the wooden cuboid and lift it",
    objects=(TrackedObject("cuboid", square_prism_symmetry()),),
    horizon=120,
)

HALF_SIZE = (0.06, 0.02, 0.02)  # [m]
LONG_AXIS = (1.0, 0.0, 0.0)
MASS = 0.075  # [kg]
WOOD_BROWN = (0.72, 0.46, 0.24, 1.0)
INITIAL_X = (0.40, 0.60)  # [m]
INITIAL_Y = (-0.15, 0.15)  # [m]
LIFT_HEIGHT = 0.03  # [m]
GRASPABLE_LENGTH = 0.03  # [m] either side of the centre

REACH_REWARD, GRASP_REWARD, LIFT_REWARD = 0.3, 0.2, 0.5

APPROACH_HEIGHT = 0.10  # [m] above the table
GRASP_HEIGHT = 0.018
RAISED_HEIGHT = 0.09
GRASP_SPREAD = 0.012  # [m], standard deviation along the cuboid of where a person grasps it
CLOSING_STEPS = 8

SHAPES = {"cuboid": ObjectShape((Box(HALF_SIZE),), WOOD_BROWN[:3], (UPRIGHT, ON_END))}
DISTRACTORS = tuple(ObjectShape((Box(size),), WOOD_BROWN[:3]) for size in ((0.04, 0.02, 0.02), (0.02, 0.02, 0.02)))
HANDLED = Graspable(LONG_AXIS, HALF_SIZE[0] - HALF_SIZE[1])


class Scene:
    """What the simulator has of it, the reward and when it is solved."""

    task = TASK

    def add_objects(self, spec: "mujoco.MjSpec") -> None:
        add_box(spec, "cuboid", (0.5, 0, HALF_SIZE[2]), HALF_SIZE, MASS, WOOD_BROWN)

    def object_states(self, model: "mujoco.MjModel", num_envs: int) -> FreeObjects:
        return FreeObjects(self.task, model)

    def initial_object_poses(self, generator: np.random.Generator) -> np.ndarray:
        yaw = generator.uniform(-np.pi / 2, np.pi / 2)
        x, y = generator.uniform(*INITIAL_X), generator.uniform(*INITIAL_Y)
        return np.array([[x, y, HALF_SIZE[2], np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)]])

    def stage_rewards(self, state: SceneState) -> dict[str, np.ndarray]:
        position, axis = state.object_in_gripper(0), axis_in_gripper(state, 0, LONG_AXIS)
        distance = distance_to_axis(position, axis, GRASPABLE_LENGTH)
        grasped = self.grasped(state)
        lifted = np.clip(self.height(state) / LIFT_HEIGHT, 0.0, 1.0)
        return {
            "reach": REACH_REWARD * np.where(grasped, 1.0, reach(distance, across(axis), state)),
            "grasp": GRASP_REWARD * grasped,
            "lift": LIFT_REWARD * grasped * lifted,
        }

    def solved(self, state: SceneState) -> np.ndarray:
        return self.grasped(state) & (self.height(state) >= LIFT_HEIGHT)

    def height(self, state: SceneState) -> np.ndarray:
        """Height of the cuboid's centre above where it rests [m] (N,)."""
        return state.object_poses[:, 0, 2] - HALF_SIZE[2]

    def grasped(self, state: SceneState) -> np.ndarray:
        """Whether the pads hold the cuboid: its centre line between them and the width that of an object, not of air (N,)."""
        axis = axis_in_gripper(state, 0, LONG_AXIS)
        return holds(state, distance_to_axis(state.object_in_gripper(0), axis, HALF_SIZE[0]), 2 * HALF_SIZE[1])


def plan_demonstration(state: SceneState, env: int, generator: np.random.Generator) -> list[Waypoint]:
    """Above the cuboid with the closing axis across it, down, close, up."""
    position, quaternion = state.object_poses[env, 0, :3], state.object_poses[env, 0, 3:]
    long_axis = rotations.rotate(quaternion, np.array([1.0, 0.0, 0.0]))
    yaw = np.arctan2(long_axis[1], long_axis[0])
    turn = turned_down(yaw)
    grasp = position + long_axis * np.clip(generator.normal(scale=GRASP_SPREAD), -0.03, 0.03)

    def at(height: float) -> np.ndarray:
        return np.concatenate([grasp[:2], [height], turn])

    return [
        Waypoint(at(APPROACH_HEIGHT), opening=1.0),
        Waypoint(at(GRASP_HEIGHT), opening=1.0),
        Waypoint(at(GRASP_HEIGHT), opening=0.0, dwell=CLOSING_STEPS),
        Waypoint(at(RAISED_HEIGHT), opening=0.0),
    ]
