"""A tabletop scene under franky-sim's servers: the simulated arm that franky talks to, with objects to handle.

The arm and the hand are driven by torques, as franky-sim drives its own; the scene's position servos are switched off.
"""

# pyright: reportAttributeAccessIssue=false
import importlib

import mujoco
import numpy as np
from franky_sim.base_simulator import BaseRobot, BaseSimulator
from franky_sim.mujoco_simulator import FrankaMujocoRobot

from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.interface.fr3_chain import FR3
from ocrrl.interface.observations import MAX_GRIPPER_WIDTH
from ocrrl.robot.twin.twin import TWIN_LOOK
from ocrrl.sim.scene import compile_scene, robot_and_table
from ocrrl.tabletop.parts.scene import SceneState, TabletopScene

TIMESTEP = 0.001  # [s]; the robot's own control period
CONTROL_STEPS = round(1.0 / CONTROL_HZ / TIMESTEP)


def scene_path(scene: TabletopScene) -> str:
    """Where the class of `scene` is, for a process that is to make another one: `ocrrl.tabletop.cube_lift:Scene`."""
    return f"{type(scene).__module__}:{type(scene).__qualname__}"


def scene_at(path: str) -> TabletopScene:
    """A scene of the class at `path`."""
    module, name = path.split(":")
    return getattr(importlib.import_module(module), name)()


def wire_twin_model(scene: TabletopScene) -> mujoco.MjModel:
    """The scene as the wire twin's processes simulate and render it."""
    spec = robot_and_table(TWIN_LOOK)
    scene.add_objects(spec)
    model = compile_scene(spec)
    model.opt.timestep = TIMESTEP
    model.actuator_gainprm[:] = 0.0
    model.actuator_biasprm[:] = 0.0
    model.body_gravcomp[:] = 0.0  # the simulated robot adds gravity's torques itself, as the real one does
    return model


class SceneSimulator(BaseSimulator):
    """One FR3 before the table of `scene`; `place` sets the table, `solved` judges."""

    def __init__(self, scene: TabletopScene) -> None:
        super().__init__()
        self._scene, self._model = scene, wire_twin_model(scene)
        self._data = mujoco.MjData(self._model)
        self._objects = scene.object_states(self._model, 1)
        self._robot = FrankaMujocoRobot(initial_q=scene.task.home_joints, initial_hand_width=MAX_GRIPPER_WIDTH)
        self._steps = 0
        self._before = np.zeros((1, len(scene.task.objects), 3))
        self._speed = np.zeros((1, len(scene.task.objects)))

    @property
    def time(self) -> float:
        """[s] simulated."""
        return self._steps * TIMESTEP

    @property
    def qpos(self) -> np.ndarray:
        """Generalised positions (nq,)."""
        return self._data.qpos.copy()

    def place(self, seed: int) -> None:
        """Put the objects, at rest, where the initial state `seed` has them."""
        poses = self._scene.initial_object_poses(np.random.default_rng(seed))
        qpos = self._data.qpos[None]
        self._objects.write(qpos, np.array([0]), poses[None])
        self._data.qvel[9:] = 0.0  # all but the arm's and the fingers'
        self._before = self._objects.read(qpos)[..., :3].copy()
        self._speed[:] = 0.0
        mujoco.mj_forward(self._model, self._data)

    def solved(self) -> bool:
        """Whether the tabletop task is solved at this instant."""
        qpos = self._data.qpos[None]
        state = SceneState(
            gripper_pose=FR3.gripper_pose(qpos[:, :7]),
            gripper_width=qpos[:, 7] + qpos[:, 8],
            object_poses=self._objects.read(qpos),
            object_speed=self._speed,
        )
        return bool(self._scene.solved(state)[0])

    def _start(self) -> None:
        self._robot._attach_to_scene(self._model, self._data, "")  # what franky-sim's own simulator calls
        self._data.qpos[:7] = self._robot.initial_q
        self._data.qpos[7:9] = MAX_GRIPPER_WIDTH / 2
        self.place(0)

    def _get_robots(self) -> list[BaseRobot]:
        return [self._robot]

    def _step(self) -> None:
        mujoco.mj_step(self._model, self._data)
        self._steps += 1
        if self._steps % CONTROL_STEPS == 0:
            now = self._objects.read(self._data.qpos[None])[..., :3].copy()
            self._speed = np.linalg.norm(now - self._before, axis=-1) * CONTROL_HZ
            self._before = now
