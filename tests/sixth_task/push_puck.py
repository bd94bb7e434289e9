"""Push Puck: push a flat puck of 12 cm with closed fingers over a line on the table, to the robot's left.

Initial states: centre anywhere in 20 x 8 cm of table, 3 to 11 cm before the line; a puck looks the same at any yaw.
"""

from typing import TYPE_CHECKING

import numpy as np

from ocrrl.interface.poses import axial_symmetry
from ocrrl.interface.tabletop_tasks import TabletopTask, TrackedObject
from ocrrl.tabletop.parts.grasping import closeness, turned_down
from ocrrl.tabletop.parts.object_shapes import Box, ObjectShape, TruncatedCone
from ocrrl.tabletop.parts.object_states import FreeObjects
from ocrrl.tabletop.parts.scene import SceneState
from ocrrl.tabletop.parts.waypoints import Waypoint

if TYPE_CHECKING:
    import mujoco

TASK = TabletopTask(
    slug="push_puck",
    instruction="push the blue puck over the red line",
    objects=(TrackedObject("puck", axial_symmetry()),),
    horizon=120,
)

RADIUS, HALF_HEIGHT = 0.06, 0.01  # [m]
MASS = 0.100  # [kg]
BLUE, RED = (0.10, 0.25, 0.75, 1.0), (0.80, 0.12, 0.10, 1.0)
INITIAL_X = (0.40, 0.60)  # [m]
INITIAL_Y = (-0.08, 0.0)  # [m]
LINE_Y = 0.03  # [m]
AT_REST = 0.02  # [m/s]

REACH_REWARD, PUSH_REWARD, CROSS_REWARD = 0.2, 0.5, 0.3
REACHABLE = (0.006, 0.006)  # [m] either side of the middle and of the pushing height, where a push counts as on it

FINGER_THICKNESS = 0.008  # [m] from the gripper frame to the outer side of a closed finger's pad
PUSH_HEIGHT = 0.014  # [m] of the gripper frame: the pads reach 9 mm below it
STANDOFF = 0.02  # [m] behind the puck's rim
PUSH_BEYOND = 0.02  # [m] that the puck's centre is sent beyond the line
PUSH_SPREAD = 0.002  # [m], standard deviation of where a person pushes, towards and away from the robot

SHAPES = {"puck": ObjectShape((TruncatedCone(RADIUS, RADIUS, HALF_HEIGHT),), BLUE[:3])}
DISTRACTORS = (ObjectShape((Box((0.04, 0.04, 0.01)),), BLUE[:3]),)


class Scene:
    """What the simulator has of it, the reward and when it is solved."""

    task = TASK

    def add_objects(self, spec: "mujoco.MjSpec") -> None:
        import mujoco

        puck = spec.worldbody.add_body(name="puck", pos=[0.45, 0, HALF_HEIGHT])
        puck.add_freejoint(name="puck")
        puck.add_geom(
            name="puck",
            type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            size=[RADIUS, HALF_HEIGHT, 0],
            mass=MASS,
            rgba=BLUE,
            friction=[1.0, 0.005, 0.0001],
        )
        spec.worldbody.add_geom(
            name="line",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            pos=[0.5, LINE_Y, 0.0005],
            size=[0.2, 0.004, 0.0005],
            rgba=RED,
            contype=0,
            conaffinity=0,
        )

    def object_states(self, model: "mujoco.MjModel", num_envs: int) -> FreeObjects:
        return FreeObjects(self.task, model)

    def initial_object_poses(self, generator: np.random.Generator) -> np.ndarray:
        x, y = generator.uniform(*INITIAL_X), generator.uniform(*INITIAL_Y)
        return np.array([[x, y, HALF_HEIGHT, 1.0, 0.0, 0.0, 0.0]])

    def stage_rewards(self, state: SceneState) -> dict[str, np.ndarray]:
        """The push is paid by how far it came, so that a puck left before the line is worth less than one behind it."""
        crossed = self.crossed(state)
        progress = np.clip((state.object_poses[:, 0, 1] - INITIAL_Y[0]) / (LINE_Y - INITIAL_Y[0]), 0.0, 1.0)
        return {
            "reach": REACH_REWARD * np.where(crossed, 1.0, closeness(self.from_push(state))),
            "push": PUSH_REWARD * progress,
            "cross": CROSS_REWARD * crossed,
        }

    def solved(self, state: SceneState) -> np.ndarray:
        return self.crossed(state) & (state.object_speed[:, 0] < AT_REST)

    def crossed(self, state: SceneState) -> np.ndarray:
        """Whether the puck's centre is over the line (N,)."""
        return state.object_poses[:, 0, 1] > LINE_Y

    def from_push(self, state: SceneState) -> np.ndarray:
        """Distance of the gripper frame from where it can push the puck towards the line [m] (N,)."""
        offset = state.gripper_pose[:, :3] - state.object_poses[:, 0, :3]
        behind = offset[:, 1] + RADIUS + FINGER_THICKNESS
        aside = np.maximum(np.abs(offset[:, 0]) - REACHABLE[0], 0.0)
        above = np.maximum(np.abs(state.gripper_pose[:, 2] - PUSH_HEIGHT) - REACHABLE[1], 0.0)
        return np.linalg.norm(np.column_stack([aside, behind, above]), axis=-1)


def plan_demonstration(state: SceneState, env: int, generator: np.random.Generator) -> list[Waypoint]:
    """Closed fingers down on the puck's right, then to the left until it is beyond the line."""
    puck = state.object_poses[env, 0]
    x = puck[0] + np.clip(generator.normal(scale=PUSH_SPREAD), -0.004, 0.004)

    def at(y: float) -> np.ndarray:
        return np.array([x, y, PUSH_HEIGHT, *turned_down(0.0)])

    return [
        Waypoint(at(puck[1] - RADIUS - FINGER_THICKNESS - STANDOFF), opening=0.0),
        Waypoint(at(LINE_Y + PUSH_BEYOND - RADIUS - FINGER_THICKNESS), opening=0.0),
    ]
