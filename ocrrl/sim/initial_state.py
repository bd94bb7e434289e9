"""A scene's initial state for a person who sets a real table: in words, and as an image."""

# pyright: reportAttributeAccessIssue=false
import mujoco
import numpy as np
from jaxtyping import Float, UInt8

from ocrrl.interface import poses, rotations
from ocrrl.interface.observations import MAX_GRIPPER_WIDTH
from ocrrl.interface.tabletop_tasks import TrackedObject
from ocrrl.rendering_faults import rendering_named
from ocrrl.sim.scene import COLLISION_GROUP, Look, compile_scene, place, robot_and_table
from ocrrl.tabletop.parts.scene import TabletopScene

LEGEND = "in base, cm: x away from the robot, y to its left, z up from the table; yaw in degrees, from x towards y"
ROUND = poses.axial_symmetry()
LYING = 0.5  # of an object's z axis, up: below this it lies on its side
CAMERA = "set_up"
_OPTICAL_TO_MUJOCO = np.array([0.0, 1.0, 0.0, 0.0])  # y up and z backwards, in place of y down and z into the scene


def initial_object_poses(scene: TabletopScene, seed: int) -> Float[np.ndarray, "O 7"]:
    """Where `SimEnvironment.reset` puts the objects of `scene` for `seed`, symmetric ones made canonical."""
    drawn = scene.initial_object_poses(np.random.default_rng(seed)).copy()
    for pose, tracked in zip(drawn, scene.task.objects, strict=True):
        reference = np.asarray(tracked.reference_quaternion)
        pose[3:] = poses.canonical_quaternion(pose[3:], tracked.symmetry, reference)
    return drawn


class InitialStateView:
    """Initial states of `scene` as a pinhole camera sees them, the arm at home; belongs to the thread that made it."""

    def __init__(self, scene: TabletopScene, camera_pose: np.ndarray, width: int, height: int, fovy: float) -> None:
        """`camera_pose` (7,) is the optical frame's in base, `fovy` [deg] of the height; images are `width` x `height` pixels.

        RuntimeError where nothing can be drawn.
        """
        spec = robot_and_table(Look(visual_meshes=True, cameras={}))
        scene.add_objects(spec)
        turn = rotations.multiply(np.asarray(camera_pose[3:], float), _OPTICAL_TO_MUJOCO)
        spec.worldbody.add_camera(name=CAMERA, pos=camera_pose[:3], quat=turn, fovy=fovy)
        spec.visual.global_.offwidth, spec.visual.global_.offheight = width, height
        self._scene, self._model = scene, compile_scene(spec)
        self._objects = scene.object_states(self._model, 1)
        self._data, self._options = mujoco.MjData(self._model), mujoco.MjvOption()
        self._options.geomgroup[COLLISION_GROUP] = 0
        with rendering_named("initial states cannot be drawn"):
            self._renderer = mujoco.Renderer(self._model, height, width)

    def words(self, seed: int) -> list[str]:
        """A line for each object of the initial state `seed`, in `LEGEND`'s terms."""
        drawn = initial_object_poses(self._scene, seed)
        lines = [_line(tracked, pose) for tracked, pose in zip(self._scene.task.objects, drawn, strict=True)]
        sliding = [tracked.name for tracked in self._scene.task.objects if tracked.slide_axis is not None]
        return lines + [line for name in sliding for line in self._pulled_out(name, drawn)]

    def image(self, seed: int) -> UInt8[np.ndarray, "H W 3"]:
        """The initial state `seed`, RGB."""
        place(self._model, self._data, self._qpos(initial_object_poses(self._scene, seed)))
        self._renderer.update_scene(self._data, CAMERA, self._options)
        return self._renderer.render()

    def close(self) -> None:
        """Free the renderer's context."""
        self._renderer.close()

    def _qpos(self, object_poses: np.ndarray) -> np.ndarray:
        qpos = np.zeros((1, self._model.nq))
        qpos[0, :7] = self._scene.task.home_joints
        qpos[0, 7:9] = MAX_GRIPPER_WIDTH / 2
        self._objects.write(qpos, np.array([0]), object_poses[None])
        return qpos[0]

    def _pulled_out(self, name: str, object_poses: np.ndarray) -> list[str]:
        """Of the parts that `name` may be, such as a cabinet's drawers: which is out, and how far."""
        qpos, model = self._qpos(object_poses), self._model
        slides = [
            joint
            for joint in map(model.joint, self._objects.resisting_joints)
            if joint.type[0] == mujoco.mjtJoint.mjJNT_SLIDE and model.jnt_limited[joint.id]
        ]
        slides.sort(key=lambda joint: model.body_pos[model.jnt_bodyid[joint.id], 2])
        out = [(number, qpos[joint.qposadr[0]]) for number, joint in enumerate(slides, start=1)]
        return [f"{name} {n} of {len(slides)} from below is out by {100 * by:.1f} cm" for n, by in out if by > 0]


def _line(tracked: TrackedObject, pose: np.ndarray) -> str:
    place = ", ".join(f"{axis} {100 * value:.1f}" for axis, value in zip("xyz", pose[:3], strict=True))
    up = rotations.rotate(pose[3:], np.array([0.0, 0.0, 1.0]))
    if up[2] < LYING:
        return f"{tracked.name}: {place}, lying, its top towards yaw {_heading(up)}"
    if tracked.symmetry == ROUND:
        return f"{tracked.name}: {place}, any yaw"
    return f"{tracked.name}: {place}, yaw {_heading(rotations.rotate(pose[3:], np.array([1.0, 0.0, 0.0])))}"


def _heading(axis: np.ndarray) -> str:
    return f"{np.rad2deg(np.arctan2(axis[1], axis[0])):.0f}"
