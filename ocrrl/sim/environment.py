"""Many copies of a tabletop scene, stepped by `mujoco.batch`: the training simulator and the twin's physics.

Legend: N environments, n of them selected by ids (n,), O tracked objects.
"""

# pyright: reportAttributeAccessIssue=false
from collections.abc import Sequence
from functools import cached_property

import mujoco
import numpy as np
from mujoco.batch import Batch

from ocrrl.interface import poses, rotations
from ocrrl.interface.actions import CONTROL_HZ, advance_command, gripper_opening, limit
from ocrrl.interface.cameras import DEFAULT_CAMERAS, CameraSizes, require_known_cameras
from ocrrl.interface.kinematics import ArmKinematics
from ocrrl.interface.observations import Images, Observation
from ocrrl.interface.protocols import StepResult
from ocrrl.sim.appearance import AppearanceRange
from ocrrl.sim.dynamics import Dynamics, DynamicsRange
from ocrrl.sim.privileged_state import PrivilegedState
from ocrrl.sim.realistic import RealisticLook
from ocrrl.sim.renderer import SceneRenderer
from ocrrl.sim.scene import (
    FINGER_TRAVEL,
    SUBSTEPS,
    Look,
    arm_chain,
    compile_scene,
    robot_and_table,
)
from ocrrl.tabletop.parts.scene import SceneState, TabletopScene

INITIAL_JOINT_JITTER = 0.02  # [rad], uniform, so that no two episodes start from quite the same arm
_STATE = (
    "look_seeds",
    "commanded_pose",
    "joint_targets",
    "held_steps",
    "latency",
    "pending",
    "references",
    "object_speed",
)


class SimEnvironment:
    """N environments of one tabletop scene; implements `interface.protocols.Environment`, with true object poses."""

    cell = "sim"

    def __init__(
        self,
        scene: TabletopScene,
        num_envs: int,
        look: Look | None = None,
        dynamics: DynamicsRange | None = None,
        cameras: CameraSizes = DEFAULT_CAMERAS,
        threads: int = 1,
        realistic: AppearanceRange | None = None,
    ):
        """`cameras` are those that `capture` takes images with; ValueError where the scene has not got one of them.

        `capture_at` draws as `look` says, like `capture`, or, if given, in a `realistic` look drawn for each episode.
        """
        look = look or Look()
        spec = robot_and_table(look)
        scene.add_objects(spec)
        self.scene, self.tabletop_task, self.num_envs = scene, scene.task, num_envs
        self.model = compile_scene(spec)
        self._all_cameras = tuple(self.model.camera(i).name for i in range(self.model.ncam))
        require_known_cameras(cameras, self._all_cameras, f"the scene of {scene.task.slug}")
        self._objects = scene.object_states(self.model, num_envs)
        _tint(self.model, self._objects.bodies, look.object_tint)
        self.kinematics = ArmKinematics(arm_chain(self.model))
        self._dynamics = dynamics or DynamicsRange()
        self.cameras, self._look, self._renderers = cameras, look, dict[tuple, SceneRenderer]()
        self._realistic = None if realistic is None else RealisticLook(scene, realistic)
        self._batch = Batch(self.model, num_envs, threads)
        self._qpos, self._ctrl = self._batch.bind("qpos"), self._batch.bind("ctrl")
        self._symmetries = [tracked.symmetry for tracked in self.tabletop_task.objects]
        self._expand_model_fields()

        n, objects = num_envs, len(self.tabletop_task.objects)
        self.seeds = [0] * n
        """Of the latest initial states."""
        self.look_seeds = np.zeros(n, int)
        """Of what a realistic look is drawn from: those of the initial states, until `redress` gives others."""
        self.commanded_pose = np.zeros((n, 7))
        self.joint_targets = np.zeros((n, 8))
        self.held_steps = np.zeros(n, int)
        self.latency = np.zeros(n, int)
        self.pending = np.zeros((n, self._dynamics.latency_steps[1] + 1, 8))
        self.references = np.zeros((n, objects, 4))
        self.object_speed = np.zeros((n, objects))
        self.reset(np.arange(n), list(range(n)))

    def reset(self, ids: np.ndarray, seeds: list[int]) -> None:
        """Put the environments `ids` into the initial states that `seeds` stand for, with dynamics drawn from them."""
        starts = []
        for env, seed in zip(ids, seeds, strict=True):
            self.seeds[env] = self.look_seeds[env] = seed
            generator = np.random.default_rng(seed)
            object_poses = self.scene.initial_object_poses(generator)
            joints = self.tabletop_task.home_joints + generator.uniform(-INITIAL_JOINT_JITTER, INITIAL_JOINT_JITTER, 7)
            self._set_dynamics(env, self._dynamics.draw(generator))
            starts.append((joints, object_poses))
        joints, object_poses = (np.stack(column) for column in zip(*starts, strict=True))
        self.reset_to(ids, joints, np.full(len(ids), 2 * FINGER_TRAVEL), object_poses)

    def reset_to(
        self, ids: np.ndarray, joint_positions: np.ndarray, gripper_width: np.ndarray, object_poses: np.ndarray
    ) -> None:
        """Put the environments `ids` at rest with joints (n, 7) [rad], width (n,) [m] and object poses (n, O, 7)."""
        self._batch.reset(ids, stage=mujoco.mjtStage.mjSTAGE_NONE.value)
        self._qpos[ids, :7] = joint_positions
        self._qpos[ids, 7:9] = gripper_width[:, None] / 2
        self._objects.write(self._qpos, ids, object_poses)
        self.joint_targets[ids] = np.concatenate([joint_positions, gripper_width[:, None] / 2], axis=-1)
        self._ctrl[ids] = self.joint_targets[ids]
        self.pending[ids] = self.joint_targets[ids][:, None]
        self.commanded_pose[ids] = self.kinematics.gripper_pose(joint_positions)
        self.held_steps[ids] = 0
        self.object_speed[ids] = 0.0
        for index, tracked in enumerate(self.tabletop_task.objects):
            self.references[ids, index] = np.asarray(tracked.reference_quaternion)
        self._track_symmetric_poses(ids)

    def observe(self) -> Observation:
        state = self.true_state()
        return Observation(
            gripper_pose=state.gripper_pose,
            commanded_pose=self.commanded_pose.copy(),
            joint_positions=self._qpos[:, :7].copy(),
            gripper_width=state.gripper_width,
            object_poses=state.object_poses,
            object_confidence=np.ones(state.object_poses.shape[:2]),
        )

    def true_state(self) -> SceneState:
        """The simulator's own state of all N environments, object poses canonical."""
        object_poses = self._objects.read(self._qpos)
        object_poses[..., 3:] = self.references
        return SceneState(
            gripper_pose=self.kinematics.gripper_pose(self._qpos[:, :7]),
            gripper_width=self._qpos[:, 7] + self._qpos[:, 8],
            object_poses=object_poses,
            object_speed=self.object_speed.copy(),
        )

    def capture(self, ids: np.ndarray) -> Images:
        return self._render(ids, self.cameras)

    def capture_at(self, ids: np.ndarray, cameras: CameraSizes) -> Images:
        """Images of the environments `ids` by any `cameras` of the scene, for a policy beside the VLA; ValueError for others."""
        require_known_cameras(cameras, self._all_cameras, f"the scene of {self.tabletop_task.slug}")
        return self._render(ids, cameras, self._realistic)

    def redress(self, ids: np.ndarray, seeds: np.ndarray) -> None:
        """Draw the realistic look of the environments `ids` from `seeds` (n,), until their next reset."""
        self.look_seeds[ids] = seeds

    def image(self, ids: np.ndarray, size: int, cameras: Sequence[str] = ()) -> Images:
        """Images of `size` x `size` pixels of the environments `ids`, by these or all cameras, such as a video for people."""
        return self._render(ids, dict.fromkeys(cameras or self._all_cameras, (size, size)))

    @cached_property
    def privileged(self) -> PrivilegedState:
        """As `interface.residual_observations.KnowsPrivilegedState`."""
        return PrivilegedState(self.model, self._objects.bodies, self._batch)

    def get_qpos(self) -> np.ndarray:
        """Generalised positions (N, nq) of MuJoCo's model."""
        return self._qpos.copy()

    def step(self, actions: np.ndarray, ids: np.ndarray) -> StepResult:
        actions = limit(np.asarray(actions, float))
        measured = self.kinematics.gripper_pose(self._qpos[ids, :7])
        commanded = advance_command(self.commanded_pose[ids], measured, actions)
        self.commanded_pose[ids] = commanded
        arm = self.kinematics.step_towards(self.joint_targets[ids, :7], commanded)
        target = np.concatenate([arm, FINGER_TRAVEL * gripper_opening(actions[:, 6:])], axis=-1)
        self.joint_targets[ids] = target
        self.pending[ids] = np.roll(self.pending[ids], 1, axis=1)
        self.pending[ids, 0] = target
        delayed = self.pending[ids, self.latency[ids]]

        # Targets ramp over the substeps: a step change each 50 ms shakes a grasped object loose.
        before = self._objects.read(self._qpos)[ids, :, :3]
        start = self._ctrl[ids]
        ramp = np.linspace(1.0 / SUBSTEPS, 1.0, SUBSTEPS)[None, :, None]
        self._batch.rollout(SUBSTEPS, start[:, None] + ramp * (delayed - start)[:, None], record=(), ids=ids)
        moved = self._objects.read(self._qpos)[ids, :, :3] - before
        self.object_speed[ids] = np.linalg.norm(moved, axis=-1) * CONTROL_HZ
        self._track_symmetric_poses(ids)
        return self._judge(ids)

    def calibration(self) -> dict[str, dict[str, object]]:
        """The cameras' poses and fields of view, for an episode's attributes."""
        return {name: vars(camera) for name, camera in self._look.cameras.items() if name in self.cameras}

    def come_to_rest(self, error: str = "") -> None:
        """No time passes in it between steps."""

    def close(self) -> None:
        """Free the renderers' contexts."""
        while self._renderers:
            self._renderers.popitem()[1].close()

    def get_state(self) -> dict[str, np.ndarray]:
        """All that `set_state` needs to go on bit for bit (dynamics included)."""
        state = {name: getattr(self, name).copy() for name in _STATE}
        state["simulation"] = self._batch.state.copy()
        state.update({f"objects.{name}": values for name, values in self._objects.get_state().items()})
        state.update({f"model.{name}": values.copy() for name, values in self._fields.items()})
        return state

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from a state that `get_state` gave."""
        for name in _STATE:
            if name in state:  # a checkpoint of 0.3 has no look_seeds
                getattr(self, name)[:] = state[name]
        for name, values in self._fields.items():
            values[:] = state[f"model.{name}"]
        self._batch.set_const()
        self._batch.state[:] = state["simulation"]
        self._objects.set_state({n.removeprefix("objects."): v for n, v in state.items() if n.startswith("objects.")})

    def _render(self, ids: np.ndarray, cameras: CameraSizes, dressing: RealisticLook | None = None) -> Images:
        key = (dressing is None, *cameras.items())
        if key not in self._renderers:
            model = self.model if dressing is None else dressing.model
            self._renderers[key] = SceneRenderer(model, cameras, dressing)
        return self._renderers[key].render(self._qpos[ids], self.look_seeds[ids].tolist())

    def _judge(self, ids: np.ndarray) -> StepResult:
        state = self.true_state()
        solved = self.scene.solved(state)[ids]
        self.held_steps[ids] = np.where(solved, self.held_steps[ids] + 1, 0)
        reward = np.clip(sum(self.scene.stage_rewards(state).values()), 0.0, 1.0)[ids]
        return StepResult(reward, self.held_steps[ids] >= self.tabletop_task.success_hold)

    def _track_symmetric_poses(self, ids: np.ndarray) -> None:
        quaternions = rotations.normalise(self._objects.read(self._qpos)[ids, :, 3:])
        for index, symmetry in enumerate(self._symmetries):
            self.references[ids, index] = poses.canonical_quaternion(
                quaternions[:, index], symmetry, self.references[ids, index]
            )

    def _expand_model_fields(self) -> None:
        """Give the fields that dynamics touch a value per environment."""
        names = (
            "geom_friction",
            "body_mass",
            "body_inertia",
            "dof_frictionloss",
            "actuator_gainprm",
            "actuator_biasprm",
        )
        self._nominal = {name: getattr(self.model, name).copy() for name in names}
        self._fields = {name: self._batch.expand(name) for name in names}
        self._object_bodies = np.array([self.model.body(name).id for name in self._objects.bodies])
        joints = self._objects.resisting_joints
        self._object_dofs = np.array([self.model.joint(name).dofadr[0] for name in joints], int)
        self._arm, self._gripper = np.arange(7), self.model.actuator("hand").id

    def _set_dynamics(self, env: int, dynamics: Dynamics) -> None:
        for name, values in self._fields.items():
            values[env] = self._nominal[name]
        self._fields["geom_friction"][env, :, 0] *= dynamics.friction_scale
        self._fields["body_mass"][env, self._object_bodies] *= dynamics.mass_scale
        self._fields["body_inertia"][env, self._object_bodies] *= dynamics.mass_scale
        self._fields["dof_frictionloss"][env, self._object_dofs] *= dynamics.friction_scale
        self._fields["dof_frictionloss"][env, self._arm] *= dynamics.joint_friction_scale
        for name in ("actuator_gainprm", "actuator_biasprm"):
            self._fields[name][env, self._arm] *= dynamics.servo_stiffness_scale
            self._fields[name][env, self._gripper] *= dynamics.gripper_force_scale
        self.latency[env] = dynamics.latency_steps
        self._batch.set_const(np.array([env], np.int32))


def _tint(model: mujoco.MjModel, bodies: tuple[str, ...], tint: tuple[float, float, float]) -> None:
    """Multiply the colours of the geoms of `bodies` by `tint` (red, green, blue)."""
    of_objects = np.isin(model.geom_bodyid, [model.body(name).id for name in bodies])
    model.geom_rgba[of_objects, :3] *= np.asarray(tint)
