"""Pick and Place: grasp an 8 x 4 x 4 cm cuboid and place it into a bowl (Tables 3 and 4).

Initial states: both centres anywhere in 20 x 30 cm of table, at least 16 cm apart; the cuboid at any yaw.
"""

# pyright: reportAttributeAccessIssue=false
from typing import TYPE_CHECKING

import numpy as np

from ocrrl.interface import rotations
from ocrrl.interface.handled_object import Graspable
from ocrrl.interface.poses import axial_symmetry, square_prism_symmetry
from ocrrl.interface.tabletop_tasks import TabletopTask, TrackedObject
from ocrrl.tabletop.parts.grasping import (
    across,
    add_box,
    axis_in_gripper,
    carried_to,
    distance_to_axis,
    holds,
    let_go,
    reach,
    released,
    turned_down,
)
from ocrrl.tabletop.parts.object_shapes import ON_END, UPRIGHT, Box, ObjectShape, Ring, TruncatedCone
from ocrrl.tabletop.parts.object_states import FreeObjects
from ocrrl.tabletop.parts.scene import SceneState
from ocrrl.tabletop.parts.waypoints import Waypoint

if TYPE_CHECKING:
    import mujoco

TASK = TabletopTask(
    slug="pick_and_place",
    instruction="pick up the red cuboid and place it into the bowl",
    objects=(TrackedObject("cuboid", square_prism_symmetry()), TrackedObject("bowl", axial_symmetry())),
    horizon=200,
)

HALF_SIZE = (0.04, 0.02, 0.02)  # [m]
LONG_AXIS = (1.0, 0.0, 0.0)
MASS = 0.050  # [kg]
RED = (0.80, 0.13, 0.11, 1.0)
BOWL_RADIUS, BOWL_HEIGHT, BOWL_THICKNESS = 0.095, 0.010, 0.002  # [m]; paper
BOWL_MASS = 0.010  # [kg]
WALL_SEGMENTS = 16
WHITE = (0.93, 0.93, 0.92, 1.0)
INITIAL_X = (0.40, 0.60)  # [m]
INITIAL_Y = (-0.15, 0.15)  # [m]
LEAST_DISTANCE = 0.16  # [m] between the centres

CARRY_HEIGHT = 0.05  # [m] above rest, at which the cuboid clears the bowl and the hand need not rise further
IN_BOWL_RADIUS = 0.065  # [m] of the cuboid's centre from the bowl's
IN_BOWL_HEIGHT = 0.035  # [m] of the cuboid's centre
AT_REST = 0.02  # [m/s]
RETREATED = 0.06  # [m] from the cuboid
GRASPABLE_LENGTH = 0.02  # [m] either side of the centre

REACH_REWARD, GRASP_REWARD, CARRY_REWARD, PLACE_REWARD = 0.25, 0.15, 0.20, 0.40

APPROACH_HEIGHT = 0.11  # [m] above the table
GRASP_HEIGHT = 0.018
CARRIED_HEIGHT = 0.10
RELEASE_HEIGHT = 0.032
GRASP_SPREAD = 0.006  # [m], standard deviation along the cuboid of where a person grasps it
PLACE_SPREAD = 0.008  # [m], of where they put it down
CLOSING_STEPS, OPENING_STEPS = 8, 5

SHAPES = {
    "cuboid": ObjectShape((Box(HALF_SIZE),), RED[:3], (UPRIGHT, ON_END)),
    "bowl": ObjectShape(
        (
            TruncatedCone(BOWL_RADIUS, BOWL_RADIUS, BOWL_THICKNESS / 2, (0.0, 0.0, BOWL_THICKNESS / 2)),
            Ring(BOWL_RADIUS, BOWL_THICKNESS, BOWL_HEIGHT / 2, (0.0, 0.0, BOWL_HEIGHT / 2)),
        ),
        WHITE[:3],
    ),
}
DISTRACTORS = (
    ObjectShape((Box((0.06, 0.02, 0.02)),), RED[:3]),
    ObjectShape((TruncatedCone(0.06, 0.06, 0.005),), WHITE[:3]),
)
HANDLED = Graspable(LONG_AXIS, HALF_SIZE[0] - HALF_SIZE[1])


class Scene:
    """What the simulator has of it, the reward and when it is solved."""

    task = TASK

    def add_objects(self, spec: "mujoco.MjSpec") -> None:
        import mujoco

        add_box(spec, "cuboid", (0.5, 0.1, HALF_SIZE[2]), HALF_SIZE, MASS, RED)
        bowl = spec.worldbody.add_body(name="bowl", pos=[0.5, -0.1, 0.0])
        bowl.add_freejoint(name="bowl")
        bowl.add_geom(
            name="bowl",
            type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            pos=[0, 0, BOWL_THICKNESS / 2],
            size=[BOWL_RADIUS, BOWL_THICKNESS / 2, 0],
            mass=BOWL_MASS / 2,
            rgba=WHITE,
            friction=[1.0, 0.005, 0.0001],
        )
        half_width = BOWL_RADIUS * np.tan(np.pi / WALL_SEGMENTS)
        for k in range(WALL_SEGMENTS):
            angle = 2 * np.pi * k / WALL_SEGMENTS
            bowl.add_geom(
                name=f"bowl_wall{k}",
                type=mujoco.mjtGeom.mjGEOM_BOX,
                pos=[BOWL_RADIUS * np.cos(angle), BOWL_RADIUS * np.sin(angle), BOWL_HEIGHT / 2],
                quat=[np.cos(angle / 2), 0, 0, np.sin(angle / 2)],
                size=[BOWL_THICKNESS / 2, half_width, BOWL_HEIGHT / 2],
                mass=BOWL_MASS / 2 / WALL_SEGMENTS,
                rgba=WHITE,
            )

    def object_states(self, model: "mujoco.MjModel", num_envs: int) -> FreeObjects:
        return FreeObjects(self.task, model)

    def initial_object_poses(self, generator: np.random.Generator) -> np.ndarray:
        while True:
            x, y = generator.uniform(*INITIAL_X, 2), generator.uniform(*INITIAL_Y, 2)
            if np.hypot(x[0] - x[1], y[0] - y[1]) >= LEAST_DISTANCE:
                break
        yaw = generator.uniform(-np.pi / 2, np.pi / 2)
        cuboid = [x[0], y[0], HALF_SIZE[2], np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)]
        return np.array([cuboid, [x[1], y[1], 0.0, 1.0, 0.0, 0.0, 0.0]])

    def stage_rewards(self, state: SceneState) -> dict[str, np.ndarray]:
        position, axis = state.object_in_gripper(0), axis_in_gripper(state, 0, LONG_AXIS)
        distance = distance_to_axis(position, axis, GRASPABLE_LENGTH)
        grasped, inside = self.grasped(state), self.in_bowl(state)
        height = np.clip((state.object_poses[:, 0, 2] - HALF_SIZE[2]) / CARRY_HEIGHT, 0.0, 1.0)
        over = carried_to(self.from_bowl(state))
        retreat = np.clip(np.linalg.norm(position, axis=-1) / RETREATED, 0.0, 1.0)
        carried = grasped | inside
        opening = let_go(state, 2 * HALF_SIZE[1])
        return {
            "reach": REACH_REWARD * np.where(carried, 1.0, reach(distance, across(axis), state)),
            "grasp": GRASP_REWARD * carried,
            "carry": CARRY_REWARD * np.where(inside, 1.0, grasped * (0.2 * height + 0.8 * over * (0.2 + 0.8 * height))),
            "place": PLACE_REWARD * inside * (0.1 + 0.6 * opening + 0.3 * retreat * opening),
        }

    def solved(self, state: SceneState) -> np.ndarray:
        return self.in_bowl(state) & released(state, 2 * HALF_SIZE[1]) & (state.object_speed[:, 0] < AT_REST)

    def grasped(self, state: SceneState) -> np.ndarray:
        """Whether the pads hold the cuboid (N,)."""
        axis = axis_in_gripper(state, 0, LONG_AXIS)
        return holds(state, distance_to_axis(state.object_in_gripper(0), axis, HALF_SIZE[0]), 2 * HALF_SIZE[1])

    def from_bowl(self, state: SceneState) -> np.ndarray:
        """Horizontal distance of the cuboid's centre from the bowl's [m] (N,)."""
        return np.linalg.norm(state.object_poses[:, 0, :2] - state.object_poses[:, 1, :2], axis=-1)

    def in_bowl(self, state: SceneState) -> np.ndarray:
        """Whether the cuboid is down within the rim (N,)."""
        return (self.from_bowl(state) < IN_BOWL_RADIUS) & (state.object_poses[:, 0, 2] < IN_BOWL_HEIGHT)


def plan_demonstration(state: SceneState, env: int, generator: np.random.Generator) -> list[Waypoint]:
    """Above the cuboid with the closing axis across it, down, close, up, over the bowl, down, open, up."""
    position, quaternion = state.object_poses[env, 0, :3], state.object_poses[env, 0, 3:]
    long_axis = rotations.rotate(quaternion, np.asarray(LONG_AXIS))
    turn = turned_down(float(np.arctan2(long_axis[1], long_axis[0])))
    offset = long_axis[:2] * np.clip(generator.normal(scale=GRASP_SPREAD), -0.015, 0.015)
    grasp = position[:2] + offset
    place = state.object_poses[env, 1, :2] + np.clip(generator.normal(scale=PLACE_SPREAD, size=2), -0.02, 0.02) + offset

    def at(place: np.ndarray, height: float) -> np.ndarray:
        return np.concatenate([place, [height], turn])

    return [
        Waypoint(at(grasp, APPROACH_HEIGHT), opening=1.0),
        Waypoint(at(grasp, GRASP_HEIGHT), opening=1.0),
        Waypoint(at(grasp, GRASP_HEIGHT), opening=0.0, dwell=CLOSING_STEPS),
        Waypoint(at(grasp, CARRIED_HEIGHT), opening=0.0),
        Waypoint(at(place, CARRIED_HEIGHT), opening=0.0),
        Waypoint(at(place, RELEASE_HEIGHT), opening=0.0),
        Waypoint(at(place, RELEASE_HEIGHT), opening=1.0, dwell=OPENING_STEPS),
        Waypoint(at(place, CARRIED_HEIGHT), opening=1.0),
    ]
