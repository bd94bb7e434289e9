"""A scripted teleoperator: steers towards waypoints as a person does, with tremor and pauses."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ocrrl.interface import rotations
from ocrrl.interface.actions import ACTION_DIM, MAX_ROTATION_STEP, MAX_TRANSLATION_STEP
from ocrrl.interface.observations import Observation
from ocrrl.interface.protocols import Capture
from ocrrl.tabletop.parts.scene import SceneState
from ocrrl.tabletop.parts.waypoints import Waypoint, WaypointPlan

GAIN = 0.45  # share of the remaining way that one step covers
TREMOR_TRANSLATION = 0.0012  # [m], standard deviation a step
TREMOR_ROTATION = 0.006  # [rad]
TREMOR_MEMORY = 0.7  # first-order autocorrelation of the tremor
PAUSE_PROBABILITY = 0.02  # per step
PAUSE_STEPS = (3, 9)
BUMP_PROBABILITY = 0.08  # per step: a quick unintended push of the hand, corrected afterwards
BUMP_STEPS = 3
BUMP_TRANSLATION, BUMP_ROTATION = 0.02, 0.10  # [m], [rad], the largest
BUMP_CLEARANCE = 0.025  # [m] from the waypoint: nearer, a person is careful
SPEED = (0.55, 0.95)  # share of the step limits, drawn once an episode
ARRIVED_POSITION = 0.006  # [m]
ARRIVED_ROTATION = 0.06  # [rad]


class TrueStateEnvironment(Protocol):
    """An environment that shows a demonstrator its true state."""

    num_envs: int

    @property
    def commanded_pose(self) -> np.ndarray:
        """Commanded gripper poses (N, 7)."""
        ...

    def true_state(self) -> SceneState: ...


class ScriptedTeleoperator:
    """Follows a tabletop task's waypoints in N environments; an `interface.protocols.Policy` that looks at the true state."""

    def __init__(self, environment: TrueStateEnvironment, plan: WaypointPlan):
        self._environment, self._plan = environment, plan
        n = environment.num_envs
        self._generators = [np.random.default_rng(0) for _ in range(n)]
        self._plans: list[list[Waypoint]] = [[] for _ in range(n)]
        self._speed, self._pause, self._dwell = np.zeros(n), np.zeros(n, int), np.zeros(n, int)
        self._tremor = np.zeros((n, 6))
        self._bump, self._bump_steps = np.zeros((n, 6)), np.zeros(n, int)

    def reset(self, ids: np.ndarray, seeds: Sequence[int]) -> None:
        """Plan new episodes in the environments `ids`, with the tremor and pauses that `seeds` stand for."""
        state = self._environment.true_state()
        for env, seed in zip(ids, seeds, strict=True):
            generator = np.random.default_rng([seed, 1])
            self._generators[env] = generator
            self._plans[env] = self._plan(state, env, generator)
            self._speed[env] = generator.uniform(*SPEED)
            self._pause[env] = self._dwell[env] = 0
            self._tremor[env] = 0.0
            self._bump_steps[env] = 0

    def act(self, observation: Observation, ids: np.ndarray, capture: Capture) -> np.ndarray:
        """The next actions (n, 7) for the environments `ids`, which may be beyond the step limits."""
        measured = self._environment.true_state().gripper_pose
        return np.stack([self._steer(env, measured[env]) for env in ids])

    def _steer(self, env: int, measured: np.ndarray) -> np.ndarray:
        generator, plan = self._generators[env], self._plans[env]
        scale = np.array([TREMOR_TRANSLATION] * 3 + [TREMOR_ROTATION] * 3)
        fresh = generator.normal(size=6) * scale * np.sqrt(1 - TREMOR_MEMORY**2)
        self._tremor[env] = TREMOR_MEMORY * self._tremor[env] + fresh

        goal, commanded = plan[0], self._environment.commanded_pose[env]
        action = np.empty(ACTION_DIM)
        away = goal.pose[:3] - commanded[:3]
        turn = rotations.turn_between(commanded[3:], goal.pose[3:])
        if self._pause[env] > 0:
            self._pause[env] -= 1
            action[:6] = 0.0
        else:
            if generator.random() < PAUSE_PROBABILITY:
                self._pause[env] = generator.integers(*PAUSE_STEPS)
            action[:3] = _shortened(GAIN * away, self._speed[env] * MAX_TRANSLATION_STEP)
            action[3:6] = _shortened(GAIN * turn, self._speed[env] * MAX_ROTATION_STEP)
        gap = np.linalg.norm(goal.pose[:3] - measured[:3])
        if self._bump_steps[env] > 0:
            self._bump_steps[env] -= 1
            action[:6] += self._bump[env]
        elif gap > BUMP_CLEARANCE and generator.random() < BUMP_PROBABILITY:
            self._bump[env] = _bump(generator) / BUMP_STEPS
            self._bump_steps[env] = BUMP_STEPS
        action[:6] += self._tremor[env]
        action[6] = goal.opening

        if (gap < ARRIVED_POSITION and np.linalg.norm(turn) < ARRIVED_ROTATION) or self._dwell[env] > 0:
            self._dwell[env] += 1
            if self._dwell[env] > goal.dwell and len(plan) > 1:
                plan.pop(0)
                self._dwell[env] = 0
        return action


def _bump(generator: np.random.Generator) -> np.ndarray:
    """A push (6,) [m, rad] in a random direction."""
    directions = generator.standard_normal((2, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return np.concatenate(directions * generator.uniform(0.2, 1.0, (2, 1)) * [[BUMP_TRANSLATION], [BUMP_ROTATION]])


def _shortened(vector: np.ndarray, length: float) -> np.ndarray:
    return vector * min(1.0, length / max(float(np.linalg.norm(vector)), 1e-9))
