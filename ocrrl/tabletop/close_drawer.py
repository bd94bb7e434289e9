"""Close Drawer: push the open drawer of a cabinet closed (Tables 3 and 4).

Initial states: any one of the five drawers open by 6 to 13 cm, the cabinet within 2 cm and 5 deg of its place.
Cabinet frame: origin on the table below the middle, drawers open towards -y.
"""

# pyright: reportAttributeAccessIssue=false
from typing import TYPE_CHECKING

import numpy as np

from ocrrl.interface import rotations
from ocrrl.interface.handled_object import Pushable
from ocrrl.interface.tabletop_tasks import TabletopTask, TrackedObject
from ocrrl.tabletop.parts.grasping import closeness, turned_down
from ocrrl.tabletop.parts.object_shapes import Box, ObjectShape, Slide
from ocrrl.tabletop.parts.scene import SceneState
from ocrrl.tabletop.parts.waypoints import Waypoint

if TYPE_CHECKING:
    import mujoco

OPENING_AXIS = (0.0, -1.0, 0.0)  # in the frames of the drawer and of the cabinet, which are parallel
TASK = TabletopTask(
    slug="close_drawer",
    instruction="push the open drawer of the cabinet closed",
    objects=(TrackedObject("drawer", slide_axis=OPENING_AXIS), TrackedObject("cabinet")),
    horizon=140,
    home_joints=(-0.182, -0.136, -0.231, -2.298, -0.037, 2.165, 0.396),
)

WIDTH, DEPTH, HEIGHT = 0.27, 0.35, 0.282  # [m]
CABINET_MASS, DRAWER_MASS = 4.9, 0.87  # [kg]
DRAWERS = 5
DRAWER_HEIGHT = HEIGHT / DRAWERS
TRAVEL = 0.13  # [m]
FACE_THICKNESS = 0.016  # [m]
CABINET_BROWN, DRAWER_BROWN = (0.45, 0.29, 0.16, 1.0), (0.72, 0.50, 0.30, 1.0)
SLIDE_FRICTION, SLIDE_DAMPING = 1.5, 5.0  # [N], [N s/m]
TABLE_FRICTION = 0.6  # between cabinet and table
YAW_FRICTION_ARM = 0.15  # [m] at which it resists a turn

PLACE = (0.50, 0.225)  # [m]
PLACE_JITTER, YAW_JITTER = 0.02, float(np.deg2rad(5.0))  # [m], [rad]
INITIAL_OPENING = (0.06, 0.13)  # [m]
CLOSED = 0.005  # [m]

REACH_REWARD, PROGRESS_REWARD, CLOSE_REWARD = 0.15, 0.65, 0.20
REACHABLE = (0.08, 0.015)  # [m] either side of the face's centre, across and up, where a push counts as on it

TILT = float(np.deg2rad(35.0))  # of the hand, fingers forward: a vertical palm meets the drawers above
STANDOFF = 0.06  # [m] before the face
PUSH_ABOVE_CENTRE = 0.006  # [m]
PUSH_END = -0.007  # [m] of the gripper frame from the closed face; the pads' edge is 13 mm ahead of it
PUSH_SPREAD = 0.025  # [m], standard deviation across the face of where a person pushes
PUSH_STEPS = 12


class CabinetStates:
    """A cabinet that resists being pushed over the table, with five drawers of which one, the active one, is tracked."""

    bodies = ("cabinet", *(f"drawer{k}" for k in range(DRAWERS)))
    resisting_joints = (*(f"drawer{k}" for k in range(DRAWERS)), "cabinet_x", "cabinet_y", "cabinet_yaw")

    def __init__(self, model: "mujoco.MjModel", num_envs: int):
        names = ("cabinet_x", "cabinet_y", "cabinet_yaw")
        self._cabinet = np.array([model.joint(name).qposadr[0] for name in names])
        self._drawers = np.array([model.joint(f"drawer{k}").qposadr[0] for k in range(DRAWERS)])
        self._active = np.zeros(num_envs, int)

    def read(self, qpos: np.ndarray) -> np.ndarray:
        opening = qpos[np.arange(len(qpos)), self._drawers[self._active]]
        return poses_of(qpos[:, self._cabinet], self._active, opening)

    def write(self, qpos: np.ndarray, ids: np.ndarray, poses: np.ndarray) -> None:
        drawer, cabinet = poses[:, 0], poses[:, 1]
        yaw = 2.0 * np.arctan2(cabinet[:, 6], cabinet[:, 3])
        face = rotations.rotate(rotations.conjugate(cabinet[:, 3:]), drawer[:, :3] - cabinet[:, :3])
        self._active[ids] = np.clip(np.rint(face[:, 2] / DRAWER_HEIGHT - 0.5), 0, DRAWERS - 1)
        qpos[ids[:, None], self._cabinet] = np.column_stack([cabinet[:, :2], yaw])
        qpos[ids[:, None], self._drawers] = 0.0
        qpos[ids, self._drawers[self._active[ids]]] = np.clip(-face[:, 1] - DEPTH / 2, 0.0, TRAVEL)

    def get_state(self) -> dict[str, np.ndarray]:
        return {"active": self._active.copy()}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        self._active[:] = state["active"]


def poses_of(cabinet: np.ndarray, active: np.ndarray, opening: np.ndarray) -> np.ndarray:
    """Poses (N, 2, 7) of the active drawer's face centre and of the cabinet, from (x, y, yaw) (N, 3), index and metres."""
    n = len(cabinet)
    poses = np.zeros((n, 2, 7))
    poses[:, :, 3] = np.cos(cabinet[:, 2:] / 2)
    poses[:, :, 6] = np.sin(cabinet[:, 2:] / 2)
    poses[:, 1, :2] = cabinet[:, :2]
    face = np.column_stack([np.zeros(n), -DEPTH / 2 - opening, (active + 0.5) * DRAWER_HEIGHT])
    poses[:, 0, :3] = poses[:, 1, :3] + rotations.rotate(poses[:, 1, 3:], face)
    return poses


DRAWER_PITCH = 0.0564  # [m], `DRAWER_HEIGHT` as a tracker knows it
SHAPES = {
    "drawer": ObjectShape(
        (
            Box((0.132, FACE_THICKNESS / 2, DRAWER_PITCH / 2 - 0.002), (0.0, FACE_THICKNESS / 2, 0.0)),
            Box((0.123, 0.4 * DEPTH, 0.0202), (0.0, FACE_THICKNESS + 0.4 * DEPTH, -0.004)),
        ),
        DRAWER_BROWN[:3],
        slide=Slide(
            within="cabinet",
            closed=tuple((0.0, -DEPTH / 2, (k + 0.5) * DRAWER_PITCH) for k in range(DRAWERS)),
            axis=OPENING_AXIS,
            travel=TRAVEL,
            front=1,
        ),
    ),
    "cabinet": ObjectShape(
        (
            Box((0.135, (DEPTH - FACE_THICKNESS) / 2, 0.141), (0.0, FACE_THICKNESS / 2, 0.141)),
            Box((0.132, FACE_THICKNESS / 2, 0.139), (0.0, (FACE_THICKNESS - DEPTH) / 2, 0.141)),
        ),
        CABINET_BROWN[:3],
        yaw_range=float(np.deg2rad(30.0)),
        stands=True,
    ),
}
DISTRACTORS = tuple(ObjectShape((Box(size),), (0.72, 0.46, 0.24)) for size in ((0.04, 0.04, 0.09), (0.06, 0.02, 0.02)))
HANDLED = Pushable(OPENING_AXIS, *REACHABLE)


class Scene:
    """What the simulator has of it, the reward and when it is solved."""

    task = TASK

    def add_objects(self, spec: "mujoco.MjSpec") -> None:
        import mujoco

        slide, hinge, box = mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtGeom.mjGEOM_BOX
        only_robot = {"contype": 0, "conaffinity": 1}
        cabinet = spec.worldbody.add_body(name="cabinet")
        grip = TABLE_FRICTION * (CABINET_MASS + DRAWERS * DRAWER_MASS) * 9.81
        cabinet.add_joint(name="cabinet_x", type=slide, axis=[1, 0, 0], frictionloss=grip)
        cabinet.add_joint(name="cabinet_y", type=slide, axis=[0, 1, 0], frictionloss=grip)
        cabinet.add_joint(name="cabinet_yaw", type=hinge, axis=[0, 0, 1], frictionloss=grip * YAW_FRICTION_ARM)
        cabinet.add_geom(
            name="cabinet",
            type=box,
            pos=[0, FACE_THICKNESS / 2, HEIGHT / 2],
            size=[WIDTH / 2, (DEPTH - FACE_THICKNESS) / 2, HEIGHT / 2],
            mass=CABINET_MASS,
            rgba=CABINET_BROWN,
            **only_robot,
        )
        for k in range(DRAWERS):
            drawer = cabinet.add_body(name=f"drawer{k}", pos=[0, -DEPTH / 2, (k + 0.5) * DRAWER_HEIGHT])
            drawer.add_joint(
                name=f"drawer{k}",
                type=slide,
                axis=[0, -1, 0],
                limited=True,
                range=[0, TRAVEL],
                frictionloss=SLIDE_FRICTION,
                damping=[SLIDE_DAMPING, 0, 0],
            )
            drawer.add_geom(
                name=f"drawer{k}",
                type=box,
                pos=[0, FACE_THICKNESS / 2, 0],
                size=[WIDTH / 2 - 0.003, FACE_THICKNESS / 2, DRAWER_HEIGHT / 2 - 0.002],
                mass=DRAWER_MASS / 2,
                rgba=DRAWER_BROWN,
                **only_robot,
            )
            drawer.add_geom(
                name=f"tray{k}",
                type=box,
                pos=[0, FACE_THICKNESS + DEPTH * 0.4, -0.004],
                size=[WIDTH / 2 - 0.012, DEPTH * 0.4, DRAWER_HEIGHT / 2 - 0.008],
                mass=DRAWER_MASS / 2,
                rgba=CABINET_BROWN,
                **only_robot,
            )

    def object_states(self, model: "mujoco.MjModel", num_envs: int) -> CabinetStates:
        return CabinetStates(model, num_envs)

    def initial_object_poses(self, generator: np.random.Generator) -> np.ndarray:
        place = PLACE + generator.uniform(-PLACE_JITTER, PLACE_JITTER, 2)
        yaw = generator.uniform(-YAW_JITTER, YAW_JITTER)
        active = generator.integers(DRAWERS)
        opening = generator.uniform(*INITIAL_OPENING)
        return poses_of(np.array([[*place, yaw]]), np.array([active]), np.array([opening]))[0]

    def stage_rewards(self, state: SceneState) -> dict[str, np.ndarray]:
        opening = self.opening(state)
        progress = np.clip(1.0 - opening / TRAVEL, 0.0, 1.0)
        closed = opening < CLOSED
        near = np.where(closed, 1.0, closeness(self.from_face(state)))
        return {
            "push": REACH_REWARD * near + PROGRESS_REWARD * progress,
            "close": CLOSE_REWARD * closed,
        }

    def solved(self, state: SceneState) -> np.ndarray:
        return self.opening(state) < CLOSED

    def opening(self, state: SceneState) -> np.ndarray:
        """How far the active drawer is out [m] (N,)."""
        apart = state.object_poses[:, 0, :3] - state.object_poses[:, 1, :3]
        return -rotations.rotate(rotations.conjugate(state.object_poses[:, 1, 3:]), apart)[:, 1] - DEPTH / 2

    def from_face(self, state: SceneState) -> np.ndarray:
        """Distance of the gripper frame from where it can push the face [m] (N,)."""
        drawer = state.object_poses[:, 0]
        offset = rotations.rotate(rotations.conjugate(drawer[:, 3:]), state.gripper_pose[:, :3] - drawer[:, :3])
        across = np.maximum(np.abs(offset[:, 0]) - REACHABLE[0], 0.0)
        up = np.maximum(np.abs(offset[:, 2]) - REACHABLE[1], 0.0)
        return np.linalg.norm(np.column_stack([across, offset[:, 1], up]), axis=-1)


def plan_demonstration(state: SceneState, env: int, generator: np.random.Generator) -> list[Waypoint]:
    """Closed fingers turned and tilted towards the face, before it, and on behind where it will be closed."""
    drawer, cabinet = state.object_poses[env]
    push = rotations.rotate(cabinet[3:], np.array([0.0, 1.0, 0.0]))
    right = rotations.rotate(cabinet[3:], np.array([1.0, 0.0, 0.0]))
    down = turned_down(float(np.arctan2(push[1], push[0])))
    turn = rotations.multiply(rotations.from_rotation_vector(TILT * right), down)
    across = np.clip(generator.normal(scale=PUSH_SPREAD), -REACHABLE[0], REACHABLE[0])
    contact = drawer[:3] + right * across + np.array([0.0, 0.0, PUSH_ABOVE_CENTRE])
    to_closed = float(push @ (cabinet[:3] - push * DEPTH / 2 - drawer[:3]))

    def at(advance: float) -> np.ndarray:
        return np.concatenate([contact + push * advance, turn])

    return [
        Waypoint(at(-STANDOFF), opening=0.0),
        Waypoint(at(to_closed + PUSH_END), opening=0.0, dwell=PUSH_STEPS),
    ]
