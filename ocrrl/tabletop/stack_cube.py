"""Stack Cube: put a white 4 cm cube on a green one (Tables 3 and 4).

Initial states: both centres anywhere in 20 x 30 cm of table, 8 cm or more apart; each at any yaw.
"""

# pyright: reportAttributeAccessIssue=false
from typing import TYPE_CHECKING

import numpy as np

from ocrrl.interface import rotations
from ocrrl.interface.handled_object import Graspable
from ocrrl.interface.poses import cube_symmetry
from ocrrl.interface.tabletop_tasks import TabletopTask, TrackedObject
from ocrrl.tabletop.parts.grasping import (
    add_box,
    axis_in_gripper,
    carried_to,
    closeness,
    holds,
    let_go,
    reach,
    released,
    turned_down,
)
from ocrrl.tabletop.parts.object_shapes import Box, ObjectShape
from ocrrl.tabletop.parts.object_states import FreeObjects
from ocrrl.tabletop.parts.scene import SceneState
from ocrrl.tabletop.parts.waypoints import Waypoint

if TYPE_CHECKING:
    import mujoco

TASK = TabletopTask(
    slug="stack_cube",
    instruction="stack the white cube on the green cube",
    objects=(TrackedObject("white_cube", cube_symmetry()), TrackedObject("green_cube", cube_symmetry())),
    horizon=200,
)

HALF_SIZE = 0.02  # [m]
MASS = 0.025  # [kg]
COLOURS = {"white_cube": (0.95, 0.95, 0.95, 1.0), "green_cube": (0.10, 0.55, 0.20, 1.0)}
INITIAL_X = (0.40, 0.60)  # [m]
INITIAL_Y = (-0.15, 0.15)  # [m]
LEAST_DISTANCE = 0.08  # [m] between the centres: room for the fingers

CLEAR_HEIGHT = 0.045  # [m] above rest, at which the white cube passes over the green one
ON_DISTANCE = 0.015  # [m], horizontal, between the centres
ON_HEIGHT_ERROR = 0.005  # [m]
AT_REST = 0.02  # [m/s]
RETREATED = 0.05  # [m] of the gripper frame from the white cube's centre

REACH_REWARD, GRASP_REWARD, ALIGN_REWARD, STACK_REWARD = 0.25, 0.15, 0.25, 0.35

APPROACH_HEIGHT = 0.11  # [m] above the table
GRASP_HEIGHT = 0.018
CARRIED_HEIGHT = 0.10
RELEASE_HEIGHT = 0.0595
CLOSING_STEPS, OPENING_STEPS = 8, 5

WHITE, GREEN = (0.93, 0.93, 0.92), COLOURS["green_cube"][:3]
SHAPES = {
    "white_cube": ObjectShape((Box((HALF_SIZE, HALF_SIZE, HALF_SIZE)),), WHITE),
    "green_cube": ObjectShape((Box((HALF_SIZE, HALF_SIZE, HALF_SIZE)),), GREEN),
}
DISTRACTORS = (
    ObjectShape((Box((0.03, 0.03, 0.03)),), WHITE),
    ObjectShape((Box((0.04, 0.02, 0.02)),), GREEN),
)
HANDLED = Graspable((1.0, 0.0, 0.0), 0.0)


class Scene:
    """What the simulator has of it, the reward and when it is solved."""

    task = TASK

    def add_objects(self, spec: "mujoco.MjSpec") -> None:
        for k, (name, colour) in enumerate(COLOURS.items()):
            add_box(spec, name, (0.5, 0.1 - 0.2 * k, HALF_SIZE), (HALF_SIZE, HALF_SIZE, HALF_SIZE), MASS, colour)

    def object_states(self, model: "mujoco.MjModel", num_envs: int) -> FreeObjects:
        return FreeObjects(self.task, model)

    def initial_object_poses(self, generator: np.random.Generator) -> np.ndarray:
        while True:
            x, y = generator.uniform(*INITIAL_X, 2), generator.uniform(*INITIAL_Y, 2)
            if np.hypot(x[0] - x[1], y[0] - y[1]) >= LEAST_DISTANCE:
                break
        yaw = generator.uniform(-np.pi, np.pi, 2)
        return np.array([[x[k], y[k], HALF_SIZE, np.cos(yaw[k] / 2), 0.0, 0.0, np.sin(yaw[k] / 2)] for k in range(2)])

    def stage_rewards(self, state: SceneState) -> dict[str, np.ndarray]:
        """A released cube counts more than a held one at every point of the way, so that hovering does not pay."""
        position = state.object_in_gripper(0)
        grasped, on = self.grasped(state), self.on(state)
        offset, above = self.offset(state)
        height = np.clip((state.object_poses[:, 0, 2] - HALF_SIZE) / CLEAR_HEIGHT, 0.0, 1.0)
        aligned = carried_to(offset)
        lowered = aligned * closeness(np.abs(above)) * (offset < 2 * HALF_SIZE)
        opening = let_go(state, 2 * HALF_SIZE)
        retreat = np.clip(np.linalg.norm(position, axis=-1) / RETREATED, 0.0, 1.0)
        held = grasped | on
        return {
            "reach": REACH_REWARD
            * np.where(held, 1.0, reach(np.linalg.norm(position, axis=-1), _square(state), state)),
            "grasp": GRASP_REWARD * held,
            "align": ALIGN_REWARD
            * np.where(on, 1.0, grasped * (0.2 * height + 0.45 * aligned * height + 0.35 * lowered)),
            "stack": STACK_REWARD * on * (0.1 + 0.5 * opening + 0.4 * retreat * opening),
        }

    def solved(self, state: SceneState) -> np.ndarray:
        return self.on(state) & released(state, 2 * HALF_SIZE) & (state.object_speed.max(-1) < AT_REST)

    def grasped(self, state: SceneState) -> np.ndarray:
        """Whether the pads hold the white cube (N,)."""
        return holds(state, np.linalg.norm(state.object_in_gripper(0), axis=-1), 2 * HALF_SIZE)

    def offset(self, state: SceneState) -> tuple[np.ndarray, np.ndarray]:
        """Of the white cube from its place on the green one: horizontally, and upwards [m] (N,)."""
        apart = state.object_poses[:, 0, :3] - state.object_poses[:, 1, :3]
        return np.linalg.norm(apart[:, :2], axis=-1), apart[:, 2] - 2 * HALF_SIZE

    def on(self, state: SceneState) -> np.ndarray:
        """Whether the white cube is where it rests on the green one (N,)."""
        offset, above = self.offset(state)
        return (offset < ON_DISTANCE) & (np.abs(above) < ON_HEIGHT_ERROR)


def _square(state: SceneState) -> np.ndarray:
    """In [0, 1]: 1 where the closing axis is at right angles to two faces of the white cube, 0 at 45 deg (N,)."""
    x, y = (axis_in_gripper(state, 0, axis)[:, 1] for axis in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)))
    z = axis_in_gripper(state, 0, (0.0, 0.0, 1.0))[:, 1]
    return np.clip((np.maximum.reduce([x**2, y**2, z**2]) - 0.5) / 0.5, 0.0, 1.0)


def plan_demonstration(state: SceneState, env: int, generator: np.random.Generator) -> list[Waypoint]:
    """Above the white cube, square to it, down, close, up, over the green cube, down, open, up."""
    white, green = state.object_poses[env]
    side = rotations.rotate(white[3:], np.array([1.0, 0.0, 0.0]))
    yaw = np.arctan2(side[1], side[0])
    turn = turned_down(float((yaw + np.pi / 4) % (np.pi / 2) - np.pi / 4))

    def at(place: np.ndarray, height: float) -> np.ndarray:
        return np.concatenate([place[:2], [height], turn])

    return [
        Waypoint(at(white, APPROACH_HEIGHT), opening=1.0),
        Waypoint(at(white, GRASP_HEIGHT), opening=1.0),
        Waypoint(at(white, GRASP_HEIGHT), opening=0.0, dwell=CLOSING_STEPS),
        Waypoint(at(white, CARRIED_HEIGHT), opening=0.0),
        Waypoint(at(green, CARRIED_HEIGHT), opening=0.0),
        Waypoint(at(green, RELEASE_HEIGHT), opening=0.0, dwell=2),
        Waypoint(at(green, RELEASE_HEIGHT), opening=1.0, dwell=OPENING_STEPS),
        Waypoint(at(green, CARRIED_HEIGHT + 0.02), opening=1.0),
    ]
