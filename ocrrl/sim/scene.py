"""The scene of FR3, hand and table as a MuJoCo specification, to which tabletop tasks add their objects.

The arm comes from franky-sim's MJCF. Only the palm and one pad a finger collide; the residual needs no realism, so the
training look draws collision meshes, and a twin's look draws the visual meshes.
"""

# pyright: reportAttributeAccessIssue=false
from dataclasses import dataclass, field
from pathlib import Path

import franky_sim
import mujoco
import numpy as np

from ocrrl.interface import rotations
from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.interface.kinematics import Chain
from ocrrl.sim.visual_meshes import put_reduced_meshes

SUBSTEPS = 12
TIMESTEP = 1.0 / CONTROL_HZ / SUBSTEPS  # [s]; timestep x substeps is exactly 1/control_hz
ARM_JOINTS = tuple(f"fr3_joint{i}" for i in range(1, 8))
FINGER_TRAVEL = 0.04  # [m], of one finger

TCP_IN_HAND = (0.0, 0.0, 0.1034)  # [m], between the fingertips (Franka Hand manual)

ARM_DAMPING_SCALE = 0.2  # the stock servo damping lets grasped objects slide when targets are ramped
GRIPPER_STIFFNESS = 2000.0  # [N/m]; the stock gripper squeezes a 4 cm object with only 2 N
GRIPPER_DAMPING = 60.0  # [N s/m]
_HAND = ("hand", "left_finger", "right_finger")
DETAILED_LINKS = ("fr3_link7", *_HAND)  # those that a camera sees
ARM_GROUP, HAND_GROUP, COLLISION_GROUP = 1, 2, 3  # of geoms, for what a camera draws

Vector3 = tuple[float, float, float]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera: `position` and `target` [m] in the base frame, or in the hand's where `on_hand`; `fovy` [deg]."""

    position: Vector3
    target: Vector3
    fovy: float
    on_hand: bool = False


CAMERAS = {
    "front": Camera((1.05, 0.0, 0.62), (0.49, 0.0, 0.08), 34.0),
    "wrist": Camera((0.09, 0.0, 0.03), (0.03, 0.0, 0.20), 75.0, on_hand=True),
}


@dataclass(frozen=True)
class Look:
    """How a scene is drawn; it does not touch the physics."""

    visual_meshes: bool = False
    """Of the robot's last links, with fewer triangles than franky-sim's (`visual_meshes`); elsewhere collision meshes are drawn."""
    cameras: dict[str, Camera] = field(default_factory=lambda: dict(CAMERAS))
    table_rgb: Vector3 = (0.20, 0.21, 0.23)
    table_checker_rgb: Vector3 | None = None
    arm_rgb: Vector3 = (0.85, 0.85, 0.87)
    light_position: Vector3 = (0.6, 0.4, 2.0)
    light_diffuse: Vector3 = (0.6, 0.6, 0.6)
    light_ambient: Vector3 = (0.4, 0.4, 0.4)
    background_rgb: Vector3 = (0.35, 0.40, 0.45)
    object_tint: Vector3 = (1.0, 1.0, 1.0)


def robot_and_table(look: Look) -> mujoco.MjSpec:
    """The specification of robot, table, light and cameras in `look`, without objects."""
    assets = Path(franky_sim.__file__).parent / "assets"
    spec = mujoco.MjSpec.from_file(str(assets / "fr3.xml"))
    spec.meshdir = str(assets / "meshes")
    spec.option.timestep = TIMESTEP
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10.0
    for key in list(spec.keys):
        spec.delete(key)
    _set_robot_geoms(spec, look)
    _set_actuators(spec)
    _add_table(spec, look)
    _add_cameras(spec, look)
    return spec


def _set_robot_geoms(spec: mujoco.MjSpec, look: Look) -> None:
    for body in spec.bodies:
        if body.name != "world":
            body.gravcomp = 1.0
        for geom in list(body.geoms):
            visual = geom.classname.name == "visual"
            is_mesh = geom.type == mujoco.mjtGeom.mjGEOM_MESH
            if not is_mesh or visual != (look.visual_meshes and body.name in DETAILED_LINKS):
                spec.delete(geom)
                continue
            geom.group = HAND_GROUP if body.name in _HAND else ARM_GROUP
            geom.contype, geom.conaffinity, geom.mass, geom.density = 0, 0, 0.0, 0.0
            if not visual:
                geom.material = ""
                geom.rgba = [*look.arm_rgb, 1.0]
    if look.visual_meshes:
        put_reduced_meshes(spec)
    used = {geom.meshname for body in spec.bodies for geom in body.geoms}
    for mesh in list(spec.meshes):
        if mesh.name not in used:
            spec.delete(mesh)

    hand = spec.body("hand")
    box = mujoco.mjtGeom.mjGEOM_BOX
    hand.add_geom(name="palm", type=box, pos=[0, 0, 0.032], size=[0.02, 0.10, 0.033], group=COLLISION_GROUP, mass=0.0)
    hand.add_site(name="tcp", pos=TCP_IN_HAND)
    for finger in ("left_finger", "right_finger"):
        spec.body(finger).add_geom(
            name=f"{finger}_pad",
            type=box,
            pos=[0, 0.004, 0.0435],
            size=[0.0095, 0.004, 0.0105],
            group=COLLISION_GROUP,
            mass=0.0,
            condim=4,
            friction=[1.0, 0.005, 0.0001],
        )


def _set_actuators(spec: mujoco.MjSpec) -> None:
    for name in ARM_JOINTS:
        actuator = spec.actuator(name)
        actuator.biasprm[2] *= ARM_DAMPING_SCALE
    for joint in ("finger_joint1", "finger_joint2"):
        spec.joint(joint).frictionloss = 0.0
    gripper = spec.actuator("hand")
    gripper.gainprm[0] = GRIPPER_STIFFNESS
    gripper.biasprm[1] = -GRIPPER_STIFFNESS
    gripper.biasprm[2] = -GRIPPER_DAMPING
    gripper.inheritrange = 0.0
    gripper.ctrlrange = [0.0, FINGER_TRAVEL]


def _add_table(spec: mujoco.MjSpec, look: Look) -> None:
    world = spec.worldbody
    world.add_light(
        pos=look.light_position,
        dir=-np.asarray(look.light_position) + (0.5, 0.0, 0.0),
        diffuse=look.light_diffuse,
        ambient=look.light_ambient,
        specular=[0.1, 0.1, 0.1],
        castshadow=False,
    )
    table = world.add_geom(
        name="table",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        pos=[0.5, 0, 0],
        size=[0.6, 0.6, 0.05],
        rgba=[*look.table_rgb, 1.0],
        friction=[1.0, 0.005, 0.0001],
        contype=0,  # so that only what can move freely rests on it
    )
    if look.table_checker_rgb is not None:
        texture = spec.add_texture(
            name="table",
            type=mujoco.mjtTexture.mjTEXTURE_2D,
            builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
            rgb1=look.table_rgb,
            rgb2=look.table_checker_rgb,
            width=128,
            height=128,
        )
        material = spec.add_material(name="table", texrepeat=[6, 6])
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = texture.name
        table.material, table.rgba = "table", [1, 1, 1, 1]
    spec.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_FLAT,
        rgb1=look.background_rgb,
        rgb2=look.background_rgb,
        width=16,
        height=96,
    )


def _add_cameras(spec: mujoco.MjSpec, look: Look) -> None:
    for name, camera in look.cameras.items():
        body = spec.body("hand") if camera.on_hand else spec.worldbody
        body.add_camera(
            name=name, pos=camera.position, quat=_looking_at(camera.position, camera.target), fovy=camera.fovy
        )


def _looking_at(position: Vector3, target: Vector3) -> np.ndarray:
    """Quaternion of a camera at `position` whose -z axis points at `target`, with world x or z up."""
    back = np.asarray(position, float) - np.asarray(target, float)
    back /= np.linalg.norm(back)
    up = np.array([0.0, 0.0, 1.0]) if abs(back[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
    right = np.cross(up, back)
    right /= np.linalg.norm(right)
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, np.column_stack([right, np.cross(back, right), back]).ravel())
    return quaternion


def compile_scene(spec: mujoco.MjSpec) -> mujoco.MjModel:
    """The compiled model, drawn without multisampling or shadows, which cost more than all the rest."""
    spec.visual.quality.offsamples = 0
    spec.visual.quality.shadowsize = 0
    spec.visual.map.znear = 0.01
    return spec.compile()


def arm_chain(model: mujoco.MjModel) -> Chain:
    """The arm from its base to the gripper frame between the fingertips, so that scene and kinematics agree."""
    bodies = [model.body(f"fr3_link{i}").id for i in range(1, 8)]
    hand = model.body("hand").id
    hand_quaternion = rotations.normalise(model.body_quat[hand].astype(float))
    tcp = model.body_pos[hand] + rotations.rotate(hand_quaternion, np.asarray(TCP_IN_HAND))
    joints = [model.joint(name).id for name in ARM_JOINTS]
    return Chain(
        link_positions=model.body_pos[bodies].copy(),
        link_quaternions=model.body_quat[bodies].copy(),
        gripper_pose=np.concatenate([tcp, hand_quaternion]),
        joint_limits=model.jnt_range[joints].copy(),
    )


def place(model: mujoco.MjModel, data: mujoco.MjData, qpos: np.ndarray) -> None:
    """Bring bodies, cameras and lights to the configuration `qpos` (nq,), to be drawn."""
    data.qpos[:] = qpos
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    mujoco.mj_camlight(model, data)
