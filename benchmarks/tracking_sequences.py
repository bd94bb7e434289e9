"""RGB-D sequences to try a tracker on: demonstrations in the twin's dynamics, occluders, and things like the objects.

What happens to the objects comes from the twin; what only a camera sees (occluders, distractors) is added to the images.
"""

# pyright: reportAttributeAccessIssue=false
from collections.abc import Iterator
from dataclasses import dataclass

import mujoco
import numpy as np

from ocrrl.interface import rotations
from ocrrl.interface.actions import CONTROL_HZ, limit
from ocrrl.interface.frames import Frame, Intrinsics
from ocrrl.interface.protocols import RobotPosture
from ocrrl.interface.tabletop_tasks import Vector3
from ocrrl.perception.tracking.fitting.drawer_slide import CLOSED
from ocrrl.perception.tracking.fitting.pixels import pixels_of, window_around
from ocrrl.perception.tracking.fitting.pose_fit import Body
from ocrrl.perception.tracking.fitting.render_and_compare import cast
from ocrrl.robot.twin.twin import TWIN_LOOK, draw_cell_dynamics
from ocrrl.sim.dynamics import DynamicsRange
from ocrrl.sim.environment import SimEnvironment
from ocrrl.sim.rgbd_camera import RgbdCamera
from ocrrl.sim.scene import compile_scene, robot_and_table
from ocrrl.tabletop.parts.object_shapes import Box, ObjectShape, TruncatedCone
from ocrrl.tabletop.registry import shapes_of, tabletop_task, task_module
from ocrrl.worlds import make_scene, make_teleoperator

KINDS = ("demonstration", "occluded", "beside others", "others only")
DEMONSTRATION_FRAMES = 100
PASSING_FRAMES, STILL_FRAMES = (15, 14), 55  # to come and to stay; in all, while the arm waits
OTHERS_ONLY_FRAMES = 10
BETWEEN = 0.12  # [m] from the object to what passes, towards the camera
IDS = np.array([0])
AWAY = (0.0, 0.0, -2.0)  # [m], out of every image
BESIDE_X, BESIDE_Y, BESIDE_CABINET_Y = (0.36, 0.66), (-0.24, 0.24), (-0.30, -0.15)  # [m], where distractors are
REACH = 0.07  # [m] of a distractor from its middle
LEAST_APART = 0.11  # [m] between a distractor and anything else
COVERED_BY = 0.015  # [m] of depth by which a pixel shows something nearer

Geom = tuple[mujoco.mjtGeom, Vector3, tuple[float, float, float, float]]
"""Type, half sizes [m], RGBA."""
BOX, CYLINDER = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CYLINDER
OCCLUDERS = ((BOX, (0.015, 0.10, 0.10), (0.80, 0.60, 0.50, 1)), (BOX, (0.03, 0.08, 0.08), (0.3, 0.3, 0.3, 1)))


@dataclass(frozen=True)
class Seen:
    """One frame with the truth about it."""

    frame: Frame
    robot: RobotPosture
    poses: np.ndarray
    """True poses (O, 7)."""
    occlusion: np.ndarray
    """Share (O,) of each object's surface towards the camera that something nearer covers."""


class _Stage:
    """A tabletop task in the twin's dynamics, and the camera's model of it with everything that is only seen."""

    def __init__(self, slug: str, seed: int):
        self.scene = make_scene(slug)
        self.world = SimEnvironment(self.scene, 1, TWIN_LOOK, DynamicsRange.fixed(draw_cell_dynamics(seed)))
        self.world.reset(IDS, [seed])
        spec = robot_and_table(TWIN_LOOK)
        self.scene.add_objects(spec)
        self.distractors = [_geom(shape) for shape in getattr(task_module(slug), "DISTRACTORS", ())]
        extras = (*self.distractors, *OCCLUDERS)
        for k, (kind, size, rgba) in enumerate(extras):
            body = spec.worldbody.add_body(name=f"extra{k}")
            body.add_freejoint(name=f"extra{k}")
            body.add_geom(type=kind, size=size, rgba=rgba, mass=0.1)
        self.model = compile_scene(spec)
        bodies = self.scene.object_states(self.model, 1).bodies
        tinted = np.isin(
            self.model.geom_bodyid, [self.model.body(n).id for n in (*bodies, *_names("extra", len(extras)))]
        )
        self.model.geom_rgba[tinted, :3] *= np.asarray(TWIN_LOOK.object_tint)
        self.slots = [self.model.joint(name).qposadr[0] for name in _names("extra", len(extras))]
        self.first_joint = int(self.model.body(bodies[0]).jntadr[0])  # carries the others, as a cabinet its drawers
        free = mujoco.mjtJoint.mjJNT_FREE
        joints = [self.model.joint(number) for number in range(self.model.njnt)]
        self.free = [joint.name for joint in joints if joint.name in bodies and joint.type[0] == free]

    def qpos(self, extras: dict[int, np.ndarray], without_objects: bool) -> np.ndarray:
        """Where everything is, with the `extras` (7,) by their number; the others are out of sight."""
        qpos = self.model.qpos0.copy()
        own = self.world.get_qpos()[0]
        qpos[: len(own)] = own
        for k, slot in enumerate(self.slots):
            qpos[slot : slot + 7] = extras.get(k, np.array([*AWAY, 1, 0, 0, 0]))
        if without_objects:
            for name in self.free or [self.first_joint]:
                address = self.model.joint(name).qposadr[0]
                qpos[address + (2 if self.free else 0)] = -5.0
        return qpos


def sequence(slug: str, kind: str, seed: int) -> Iterator[Seen]:
    """The frames of one sequence, at `CONTROL_HZ`; the same ones for the same arguments."""
    generator = np.random.default_rng([seed, KINDS.index(kind)])
    stage, task = _Stage(slug, seed), tabletop_task(slug)
    world, camera = stage.world, RgbdCamera(stage.model, "front")
    teleoperator = make_teleoperator(slug, world)
    teleoperator.reset(IDS, world.seeds)
    bodies = [Body(shape) for shape in shapes_of(task).values()]
    beside = (
        _places(generator, world.true_state().object_poses[0], bodies, stage.distractors) if kind in KINDS[2:] else []
    )
    still = STILL_FRAMES if kind == "occluded" else 0
    passing = len(stage.distractors) + int(generator.integers(len(OCCLUDERS)))
    target, side = int(generator.integers(len(task.objects))), float(generator.choice([-1.0, 1.0]))
    target = 0 if task.objects[0].slide_axis else target
    for k in range(OTHERS_ONLY_FRAMES if kind == "others only" else still + DEMONSTRATION_FRAMES):
        state = world.true_state()
        poses = state.object_poses[0]
        extras = dict(enumerate(beside))
        if k < still:
            extras[passing] = _passing(k, poses[target, :3], bodies[target], camera.camera_pose, side)
        colour, depth = camera.render(stage.qpos(extras, kind == "others only"), generator)
        frame = Frame(colour, depth, k / CONTROL_HZ, Intrinsics(*camera.intrinsics), camera.camera_pose)
        robot = RobotPosture(world.get_qpos()[0, :7], float(state.gripper_width[0]))
        covered = np.array([occlusion(bodies, index, frame, poses) for index in range(len(bodies))])
        yield Seen(frame, robot, poses.copy(), covered)
        if k >= still:
            world.step(limit(teleoperator.act(world.observe(), IDS, world.capture)), IDS)
    camera.close()
    world.close()


def occlusion(bodies: list[Body], index: int, frame: Frame, poses: np.ndarray) -> float:
    """Share of the surface of the body `index` towards the camera that is covered; 1 outside the image.

    `poses` (O, 7) are the bodies'; what a cabinet hides of its own drawer does not count, but the face of a closed drawer does.
    """
    body, pose = bodies[index], poses[index]
    rotation = rotations.to_matrix(pose[3:])
    # Of a closed drawer little but its face is to be seen, from the side.
    most = 2000 if body.shape.slide is None else 20_000
    window = window_around(frame, pose[:3] + rotation @ body.corners.mean(0), body.radius, 0.01, most)
    if window is None:
        return 1.0
    pixels = pixels_of(frame, window)
    hits = cast(body.rows, body.radius, rotation, pose[:3], pixels.camera, pixels.rays)
    measured = (hits > 0) & (pixels.depth > 0)
    if body.shape.slide is not None:
        for holder, where in zip(bodies, poses, strict=True):
            if holder is not body:
                turned = rotations.to_matrix(where[3:])
                inside = cast(holder.rows, holder.radius, turned, where[:3], pixels.camera, pixels.rays)
                measured &= (inside == 0) | (inside > hits - CLOSED)
    return float((pixels.depth[measured] < hits[measured] - COVERED_BY).mean()) if measured.sum() > 5 else 1.0


def _passing(frame: int, target: np.ndarray, body: Body, camera_pose: np.ndarray, side: float) -> np.ndarray:
    """Pose (7,) of what comes from one side, stays before `target` and goes on to the other."""
    coming, staying = PASSING_FRAMES
    shift = 0.0
    if frame < coming:
        shift = 1.0 - frame / coming
    elif frame >= coming + staying:
        shift = -(frame - coming - staying) / coming
    towards = camera_pose[:3] - target
    towards /= np.linalg.norm(towards)
    across = np.array([-towards[1], towards[0], 0.0]) / np.hypot(towards[0], towards[1])
    yaw = np.arctan2(towards[1], towards[0])
    tilt = -np.arcsin(towards[2])  # its broad side to the camera
    turn = rotations.multiply(
        np.array([np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)]), np.array([np.cos(tilt / 2), 0.0, np.sin(tilt / 2), 0.0])
    )
    return np.concatenate(
        [target + BETWEEN * max(1.0, body.radius / 0.15) * towards + side * 0.35 * shift * across, turn]
    )


def _places(
    generator: np.random.Generator, poses: np.ndarray, bodies: list[Body], distractors: list[Geom]
) -> list[np.ndarray]:
    """Poses (7,) of the `distractors` on the table, apart from the objects at `poses` (O, 7) and from each other."""
    taken, found = [pose[:2] for pose in poses], []
    # A cabinet and its drawers reach far, but not to the rows that are kept for what stands beside them.
    stands = any(body.shape.stands for body in bodies)
    room = [LEAST_APART if stands else max(LEAST_APART, body.radius + REACH) for body in bodies]
    rows = BESIDE_CABINET_Y if stands else BESIDE_Y
    for kind, size, _ in distractors:
        tried = np.column_stack([generator.uniform(*BESIDE_X, 200), generator.uniform(*rows, 200)])
        apart = np.linalg.norm(tried[:, None] - np.stack(taken)[None], axis=-1)
        place = tried[np.argmax((apart > np.array(room)).all(1))]
        taken.append(place)
        room.append(LEAST_APART)
        yaw = generator.uniform(-np.pi, np.pi)
        height = size[1] if kind == CYLINDER else size[2]
        found.append(np.array([*place, height, np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)]))
    return found


def _geom(shape: ObjectShape) -> Geom:
    (primitive,) = shape.primitives
    if isinstance(primitive, Box):
        return BOX, primitive.half_size, (*shape.colour, 1)
    if isinstance(primitive, TruncatedCone):
        return CYLINDER, (primitive.bottom_radius, primitive.half_height, 0), (*shape.colour, 1)
    raise ValueError(f"a distractor must be one Box or TruncatedCone, got {primitive}")


def _names(stem: str, count: int) -> list[str]:
    return [f"{stem}{k}" for k in range(count)]
