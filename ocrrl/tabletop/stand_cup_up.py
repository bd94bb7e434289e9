"""Stand Cup Up: grasp a cup lying on its side and stand it upright (Tables 3 and 4).

Initial states: anywhere in 20 x 30 cm of table, the opening within 0.8 rad of away from the robot: turned further, the
hand that stands it up would have to come from beyond the table. Cup frame: origin mid-axis, z from bottom to opening.
"""

# pyright: reportAttributeAccessIssue=false
from typing import TYPE_CHECKING

import numpy as np

from ocrrl.interface import rotations
from ocrrl.interface.handled_object import Graspable
from ocrrl.interface.poses import axial_symmetry
from ocrrl.interface.tabletop_tasks import TabletopTask, TrackedObject
from ocrrl.tabletop.parts.grasping import (
    across,
    axis_in_gripper,
    closeness,
    distance_to_axis,
    let_go,
    reach,
    turned_down,
)
from ocrrl.tabletop.parts.object_shapes import ON_END, UPRIGHT, UPSIDE_DOWN, Box, ObjectShape, TruncatedCone
from ocrrl.tabletop.parts.object_states import FreeObjects
from ocrrl.tabletop.parts.scene import SceneState
from ocrrl.tabletop.parts.waypoints import Waypoint

if TYPE_CHECKING:
    import mujoco

TASK = TabletopTask(
    slug="stand_cup_up",
    instruction="grasp the cup lying on its side and stand it upright",
    objects=(TrackedObject("cup", axial_symmetry(), ON_END),),
    horizon=180,
)

BOTTOM_RADIUS, TOP_RADIUS, HALF_HEIGHT = 0.025, 0.0375, 0.05  # [m]
MASS = 0.150  # [kg]
SLICES = 8
RED = (0.78, 0.10, 0.12, 1.0)
INITIAL_X = (0.40, 0.60)  # [m], of the middle
INITIAL_Y = (-0.15, 0.15)  # [m]
INITIAL_HEADING = 0.8  # [rad] either side of the robot's x axis

UPRIGHT_TILT = float(np.deg2rad(10.0))
STANDING_HEIGHT_ERROR = 0.006  # [m]
AT_REST = 0.02  # [m/s]
HAND_AWAY = 0.06  # [m] of the gripper frame from the cup's axis
GRASPABLE_LENGTH = 0.02  # [m] either side of the middle
HELD_WIDTHS = (0.048, 0.077)  # [m] between the fingers

REACH_REWARD, GRASP_REWARD, UPRIGHT_REWARD = 0.20, 0.15, 0.65

GRASP_TOWARDS_BOTTOM = 0.005  # [m]
GRASP_ABOVE_AXIS = 0.009
GRASP_TILT, RELEASE_TILT = float(np.deg2rad(-20.0)), float(np.deg2rad(55.0))  # of the hand about its closing axis
APPROACH_HEIGHT = 0.12  # [m] above the table
TURNING_HEIGHT = 0.085
RELEASE_HEIGHT = 0.053
RETREAT = 0.13  # [m] along the hand
CLOSING_STEPS, OPENING_STEPS = 10, 5


def slice_radii() -> np.ndarray:
    """Radii of the cylinders [m] that the truncated cone is made of, from the bottom up."""
    return BOTTOM_RADIUS + (TOP_RADIUS - BOTTOM_RADIUS) * (np.arange(SLICES) + 0.5) / SLICES


LYING_TILT = float(np.arctan2(slice_radii()[-1] - slice_radii()[0], 2 * HALF_HEIGHT))  # [rad] of the axis, opening up
LYING_HEIGHT = float((slice_radii()[0] + slice_radii()[-1]) / 2 * np.cos(LYING_TILT))  # [m] of the middle

SHAPES = {
    "cup": ObjectShape(
        (TruncatedCone(BOTTOM_RADIUS, TOP_RADIUS, HALF_HEIGHT),),
        RED[:3],
        (ON_END, UPRIGHT, UPSIDE_DOWN),
        ends="differ",
    )
}
DISTRACTORS = (
    ObjectShape((TruncatedCone(0.032, 0.032, 0.05),), (0.80, 0.13, 0.11)),
    ObjectShape((Box((0.025, 0.025, 0.05)),), (0.80, 0.13, 0.11)),
)
HANDLED = Graspable((0.0, 0.0, 1.0), GRASPABLE_LENGTH)


class Scene:
    """What the simulator has of it, the reward and when it is solved."""

    task = TASK

    def add_objects(self, spec: "mujoco.MjSpec") -> None:
        import mujoco

        cup = spec.worldbody.add_body(name="cup", pos=[0.5, 0, HALF_HEIGHT])
        cup.add_freejoint(name="cup")
        radii = slice_radii()
        half = HALF_HEIGHT / SLICES
        for k, radius in enumerate(radii):
            cup.add_geom(
                name=f"cup{k}",
                type=mujoco.mjtGeom.mjGEOM_CYLINDER,
                pos=[0, 0, -HALF_HEIGHT + (2 * k + 1) * half],
                size=[radius, half, 0],
                mass=MASS * radius**2 / (radii**2).sum(),
                rgba=RED,
                condim=6,
                friction=[1.0, 0.005, 0.001],
                solref=[0.008, 1.0],
                solimp=[0.95, 0.99, 0.001, 0.5, 2.0],
                priority=1,  # softer contacts let the pads sink past a slice's edge and eject the cup
            )

    def object_states(self, model: "mujoco.MjModel", num_envs: int) -> FreeObjects:
        return FreeObjects(self.task, model)

    def initial_object_poses(self, generator: np.random.Generator) -> np.ndarray:
        x, y = generator.uniform(*INITIAL_X), generator.uniform(*INITIAL_Y)
        heading = generator.uniform(-INITIAL_HEADING, INITIAL_HEADING)
        lie_down = rotations.from_rotation_vector(np.array([0.0, np.pi / 2 - LYING_TILT, 0.0]))
        turn = np.array([np.cos(heading / 2), 0.0, 0.0, np.sin(heading / 2)])
        return np.array([[x, y, LYING_HEIGHT, *rotations.multiply(turn, lie_down)]])

    def stage_rewards(self, state: SceneState) -> dict[str, np.ndarray]:
        """A cup that stands and was let go counts more than one held upright."""
        grasped, standing = self.grasped(state), self.standing(state)
        away, axis = self.from_axis(state), axis_in_gripper(state, 0, (0.0, 0.0, 1.0))
        distance = distance_to_axis(state.object_in_gripper(0), axis, GRASPABLE_LENGTH)
        upright = np.clip((np.pi / 2 - self.tilt(state)) / (np.pi / 2 - UPRIGHT_TILT), 0.0, 1.0)
        lowered = closeness(np.abs(state.object_poses[:, 0, 2] - HALF_HEIGHT))
        held = grasped | standing
        freed = let_go(state, 2 * BOTTOM_RADIUS) * (0.5 + 0.5 * np.clip(away / HAND_AWAY, 0.0, 1.0))
        return {
            "reach": REACH_REWARD * np.where(held, 1.0, reach(distance, across(axis), state)),
            "grasp": GRASP_REWARD * held,
            "upright": UPRIGHT_REWARD
            * np.where(standing, 0.6 + 0.4 * freed, grasped * (0.4 * upright + 0.15 * upright * lowered)),
        }

    def solved(self, state: SceneState) -> np.ndarray:
        """Judged with the hand away: a cup that is leaned against it does not stand."""
        return self.standing(state) & (self.from_axis(state) > HAND_AWAY) & (state.object_speed[:, 0] < AT_REST)

    def tilt(self, state: SceneState) -> np.ndarray:
        """Angle of the cup's axis from upright [rad] (N,)."""
        axis = rotations.rotate(state.object_poses[:, 0, 3:], np.array([0.0, 0.0, 1.0]))
        return np.arccos(np.clip(axis[:, 2], -1.0, 1.0))

    def standing(self, state: SceneState) -> np.ndarray:
        """Whether the cup is upright on the table (N,)."""
        height_error = np.abs(state.object_poses[:, 0, 2] - HALF_HEIGHT)
        return (self.tilt(state) < UPRIGHT_TILT) & (height_error < STANDING_HEIGHT_ERROR)

    def from_axis(self, state: SceneState) -> np.ndarray:
        """Distance of the gripper frame from the cup's axis [m] (N,)."""
        axis = axis_in_gripper(state, 0, (0.0, 0.0, 1.0))
        return distance_to_axis(state.object_in_gripper(0), axis, HALF_HEIGHT)

    def grasped(self, state: SceneState) -> np.ndarray:
        """Whether the pads hold the cup (N,)."""
        low, high = HELD_WIDTHS
        return (self.from_axis(state) < 0.025) & (state.gripper_width > low) & (state.gripper_width < high)


def plan_demonstration(state: SceneState, env: int, generator: np.random.Generator) -> list[Waypoint]:
    """Pinch the body from above, lift, turn the cup up about the closing axis, lower, let go, back along the hand."""
    cup = state.object_poses[env, 0]
    axis = rotations.rotate(cup[3:], np.array([0.0, 0.0, 1.0]))
    heading = float(np.arctan2(axis[1], axis[0]))
    ahead = np.array([np.cos(heading), np.sin(heading), 0.0])
    closing_axis = np.array([np.sin(heading), -np.cos(heading), 0.0])
    place = cup[:3] - GRASP_TOWARDS_BOTTOM * ahead
    grasp_height = cup[2] + GRASP_ABOVE_AXIS

    def hand(tilt: float) -> np.ndarray:
        return rotations.multiply(rotations.from_rotation_vector(tilt * closing_axis), turned_down(heading))

    def at(height: float, tilt: float) -> np.ndarray:
        return np.concatenate([place[:2], [height], hand(tilt)])

    release = at(RELEASE_HEIGHT, RELEASE_TILT)
    back = release[:3] - RETREAT * rotations.rotate(release[3:], np.array([0.0, 0.0, 1.0]))
    return [
        Waypoint(at(APPROACH_HEIGHT, GRASP_TILT), opening=1.0),
        Waypoint(at(grasp_height, GRASP_TILT), opening=1.0),
        Waypoint(at(grasp_height, GRASP_TILT), opening=0.0, dwell=CLOSING_STEPS),
        Waypoint(at(TURNING_HEIGHT, GRASP_TILT), opening=0.0),
        Waypoint(at(TURNING_HEIGHT, RELEASE_TILT), opening=0.0),
        Waypoint(release, opening=0.0, dwell=2),
        Waypoint(release, opening=1.0, dwell=OPENING_STEPS),
        Waypoint(np.concatenate([back, release[3:]]), opening=1.0),
    ]
