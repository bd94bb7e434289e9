"""A point gripper and an object that follows it while it is closed near it: an Environment without physics."""

import numpy as np

from ocrrl.interface import rotations
from ocrrl.interface.actions import advance_command, gripper_opening
from ocrrl.interface.fr3_chain import FR3
from ocrrl.interface.observations import GRIPPER_DOWN, MAX_GRIPPER_WIDTH, Observation
from ocrrl.interface.protocols import StepResult
from ocrrl.interface.tabletop_tasks import HOME_JOINTS
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT

HOME = np.array([0.5, 0.0, 0.2])
LIFT = 0.03  # [m]
HOME_POSE = np.concatenate([HOME, GRIPPER_DOWN])


def joints_at(pose, near, steps=1):
    """Joints (N, 7) of an FR3 at gripper poses (N, 7), searched from `near`."""
    for _ in range(steps):
        near = FR3.step_towards(near, pose)
    return near


HOME_TOY_JOINTS = joints_at(HOME_POSE[None], np.array([HOME_JOINTS]), steps=40)[0]


class ToyEnvironment:
    """Cube Lift for a point: reward is the height, success is `LIFT` held for `success_hold` steps."""

    tabletop_task = CUBE_LIFT

    def __init__(self, num_envs: int, cell: str = "sim", image_size: int = 16) -> None:
        self.num_envs, self.cell, self._size = num_envs, cell, image_size
        identity = np.array([1.0, 0.0, 0.0, 0.0])
        self._gripper = np.tile(HOME_POSE, (num_envs, 1))
        self._width = np.full(num_envs, MAX_GRIPPER_WIDTH)
        self._object = np.tile(np.concatenate([[0.5, 0.0, 0.02], identity]), (num_envs, 1))
        self._joints = np.tile(HOME_TOY_JOINTS, (num_envs, 1))
        self._start_height = np.full(num_envs, 0.02)
        self._held = np.zeros(num_envs, int)
        self.seeds = [0] * num_envs

    def reset(self, ids, seeds):
        for env, seed in zip(ids, seeds, strict=True):
            self.seeds[env] = seed
            position = np.random.default_rng(seed).uniform([0.45, -0.05, 0.02], [0.55, 0.05, 0.02])
            object_pose = np.concatenate([position, [1.0, 0.0, 0.0, 0.0]])
            self.reset_to(np.array([env]), np.zeros((1, 7)), np.array([MAX_GRIPPER_WIDTH]), object_pose[None, None])

    def reset_to(self, ids, joint_positions, gripper_width, object_poses):
        self._gripper[ids], self._joints[ids] = HOME_POSE, HOME_TOY_JOINTS
        self._width[ids], self._object[ids] = gripper_width, object_poses[:, 0]
        self._start_height[ids], self._held[ids] = object_poses[:, 0, 2], 0

    def observe(self):
        return Observation(
            gripper_pose=self._gripper.copy(),
            commanded_pose=self._gripper.copy(),
            joint_positions=self._joints.copy(),
            gripper_width=self._width.copy(),
            object_poses=self._object[:, None].copy(),
            object_confidence=np.ones((self.num_envs, 1)),
        )

    def capture(self, ids):
        images = np.full((len(ids), self._size, self._size, 3), 40, np.uint8)
        for row, env in enumerate(ids):
            for pose, colour in ((self._object[env], (200, 150, 60)), (self._gripper[env], (230, 230, 235))):
                x, y = np.clip((pose[:2] - [0.4, -0.1]) / 0.2 * self._size, 0, self._size - 3).astype(int)
                images[row, x : x + 3, y : y + 3] = colour
        return {"front": images, "wrist": images[:, ::-1].copy()}

    def come_to_rest(self, error="") -> None:
        pass

    def step(self, actions, ids):
        before = self._gripper[ids]
        self._gripper[ids] = advance_command(before, before, actions)
        self._joints[ids] = joints_at(self._gripper[ids], self._joints[ids], steps=3)
        self._width[ids] = MAX_GRIPPER_WIDTH * gripper_opening(actions[:, 6])
        near = np.linalg.norm(before[:, :3] - self._object[ids, :3], axis=-1) < 0.03
        held = near & (self._width[ids] < 0.02)
        turned = rotations.multiply(rotations.from_rotation_vector(actions[:, 3:6]), self._object[ids, 3:])
        moved = np.concatenate([self._object[ids, :3] + self._gripper[ids, :3] - before[:, :3], turned], axis=-1)
        self._object[ids] = np.where(held[:, None], moved, self._object[ids])
        height = self._object[ids, 2] - self._start_height[ids]
        self._held[ids] = np.where(height >= LIFT, self._held[ids] + 1, 0)
        return StepResult(np.clip(height / 0.1, 0, 1), self._held[ids] >= self.tabletop_task.success_hold)


class ToyDemonstrator:
    """Goes to the object, closes, lifts; with `clumsy` seeds it never closes."""

    def __init__(self, environment: ToyEnvironment, clumsy: tuple[int, ...] = ()) -> None:
        self._environment, self._clumsy = environment, clumsy

    def reset(self, ids, seeds): ...

    def act(self, observation, ids, capture):
        offset = observation.object_poses[:, 0, :3] - observation.gripper_pose[:, :3]
        near = np.linalg.norm(offset, axis=-1) < 0.01
        clumsy = np.array([self._environment.seeds[env] in self._clumsy for env in ids])
        grasped = near & ~clumsy
        step = np.where(grasped[:, None], [0.0, 0.0, 0.01], np.clip(offset, -0.015, 0.015))
        return np.concatenate([step, np.zeros((len(ids), 3)), np.where(grasped, 0.0, 1.0)[:, None]], axis=-1)
