"""A point gripper that must reach an object; its base policy falls short, a residual that sees the object arrives."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ocrrl.interface.observations import GRIPPER_DOWN, NEAR, OBJECT_FEATURES, Observation
from ocrrl.interface.protocols import StepResult
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT

TOY_TASK = replace(CUBE_LIFT, horizon=30, success_hold=1)
REACHED = 0.01  # [m]


class ToyEnvironment:
    """N gripper points at rest; an action moves each by its translation, exactly."""

    tabletop_task = TOY_TASK

    def __init__(self, num_envs: int, cell: str = "sim", confidence: float = 1.0, drift: float = 0.0) -> None:
        """`drift` makes each reset start elsewhere: a cell that does not repeat its episodes."""
        self.num_envs, self.cell, self._confidence, self._drift = num_envs, cell, confidence, drift
        self.gripper, self.object = np.zeros((num_envs, 3)), np.zeros((num_envs, 3))
        self.stepped: list[list[int]] = []
        self.rested: list[str] = []
        self.captured: list[list[int]] = []
        self.resets = 0

    def reset(self, ids, seeds) -> None:
        self.resets += 1
        for env, seed in zip(ids, seeds, strict=True):
            self.gripper[env] = (0.5, 0.0, 0.2)
            self.object[env] = np.array([0.5, 0.0, 0.1]) + np.random.default_rng(seed).uniform(-0.1, 0.1, 3)
            self.object[env, 0] += self._drift * self.resets

    def observe(self) -> Observation:
        n = self.num_envs
        down = np.broadcast_to(GRIPPER_DOWN, (n, 4))
        pose = np.concatenate([self.gripper, down], axis=-1)
        return Observation(
            gripper_pose=pose,
            commanded_pose=pose.copy(),
            joint_positions=np.zeros((n, 7)),
            gripper_width=np.full(n, 0.08),
            object_poses=np.concatenate([self.object, down], axis=-1)[:, None],
            object_confidence=np.full((n, 1), self._confidence),
        )

    def capture(self, ids):
        self.captured.append([int(i) for i in ids])
        seen = np.round(np.concatenate([self.gripper[ids], self.object[ids]], axis=-1) * 255)
        return {"front": np.broadcast_to(seen.astype(np.uint8).reshape(len(ids), 2, 1, 3), (len(ids), 2, 4, 3)).copy()}

    def come_to_rest(self, error="") -> None:
        self.rested.append(error)

    def step(self, actions, ids) -> StepResult:
        self.stepped.append([int(i) for i in ids])
        self.gripper[ids] += actions[:, :3]
        distance = np.linalg.norm(self.gripper[ids] - self.object[ids], axis=-1)
        return StepResult(np.exp(-distance / 0.05), distance < REACHED)


class ToyBase:
    """Descends to 10 cm straight down: succeeds only where the object happens to lie there."""

    def __init__(self, images: bool = False, speed: float = 0.005) -> None:
        self.images, self.speed = images, speed
        self.resets: list[list[int]] = []

    def reset(self, ids, seeds) -> None:
        self.resets.append([int(i) for i in ids])

    def act(self, observation, ids, capture):
        if self.images:
            capture(ids)
        action = np.zeros((len(ids), 7), np.float32)
        action[:, 2] = np.clip(0.1 - observation.gripper_pose[:, 2], -self.speed, self.speed)
        return action


class Seeker:
    """A policy that goes to the object, by the true position."""

    def reset(self, ids, seeds) -> None: ...

    def act(self, observation, ids, capture):
        offset = observation.object_poses[:, 0, :3] - observation.gripper_pose[:, :3]
        return np.concatenate([np.clip(offset, -0.02, 0.02), np.zeros((len(ids), 4))], axis=-1).astype(np.float32)


@dataclass
class ToyResidual:
    """An `interface.protocols.Residual` from a function."""

    function: Callable[[np.ndarray], np.ndarray]
    every: int = 1
    chunk_phase: bool = False
    coming_actions: int = 0

    def residual(self, residual_observation):
        return self.function(residual_observation)


def gripper_to_object(state):
    """[m], from the derived feature."""
    return np.sinh(2.0 * state[:, 7:10]) * NEAR


def seek(state):
    """Goes where the derived feature object-minus-gripper points; stays put when the object is not visible."""
    offset = gripper_to_object(state)
    assert state.shape[1] > OBJECT_FEATURES
    return np.concatenate([np.clip(offset, -0.01, 0.01), np.zeros((len(state), 4))], axis=-1).astype(np.float32)


seeking_residual = ToyResidual(seek)
weak_residual = ToyResidual(lambda state: 0.4 * seek(state))  # solves some initial states and not others
