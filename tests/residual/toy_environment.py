"""A gripper that must touch an object with its fingers shut: small enough to learn on in seconds.

The base policy knows where the object is only up to an error drawn with the initial state; a residual that sees the
object's pose can correct it.
"""

from dataclasses import replace

import numpy as np

from ocrrl.datasets.transitions import ReplayEpisode
from ocrrl.interface import rotations
from ocrrl.interface.actions import gripper_opening
from ocrrl.interface.observations import GRIPPER_DOWN, MAX_GRIPPER_WIDTH, Observation
from ocrrl.interface.protocols import StepResult
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT

TOY_TASK = replace(CUBE_LIFT, horizon=40)
CHUNK = 8
TOUCH = 0.012  # [m]


class ToyEnvironment:
    """N grippers and objects; an action moves the gripper by its translation step, exactly."""

    tabletop_task = TOY_TASK
    cell = "sim"

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self._gripper = np.zeros((num_envs, 7))
        self._object = np.zeros((num_envs, 7))
        self._base_error = np.zeros((num_envs, 3))
        self._width = np.full(num_envs, MAX_GRIPPER_WIDTH)
        self.resets: list[tuple[int, int]] = []

    def reset(self, ids, seeds) -> None:
        for i, seed in zip(ids, seeds, strict=True):
            random = np.random.default_rng(seed)
            self._gripper[i] = np.concatenate([[0.5, 0.0, 0.2], GRIPPER_DOWN])
            self._object[i, :3] = np.array([0.5, 0.0, 0.1]) + random.uniform(-0.08, 0.08, 3)
            self._object[i, 3:] = rotations.from_rotation_vector(np.array([0.0, 0.0, random.uniform(-0.5, 0.5)]))
            self._base_error[i] = random.uniform(-0.02, 0.02, 3)
            self._width[i] = MAX_GRIPPER_WIDTH
            self.resets.append((int(i), seed))

    def observe(self) -> Observation:
        n = self.num_envs
        return Observation(
            gripper_pose=self._gripper.copy(),
            commanded_pose=self._gripper.copy(),
            joint_positions=np.zeros((n, 7)),
            gripper_width=self._width.copy(),
            object_poses=self._object[:, None].copy(),
            object_confidence=np.ones((n, 1)),
        )

    def capture(self, ids):
        """A "image" that shows where the object seems to be, in tenths of a millimetre."""
        seen = self._object[ids, :3] + self._base_error[ids]
        pixels = np.round((seen + 1.0) * 1e4).astype(np.uint16).view(np.uint8).reshape(len(ids), 1, 2, 3)
        return {"front": pixels}

    def come_to_rest(self, error="") -> None:
        pass

    def step(self, actions, ids) -> StepResult:
        self._gripper[ids, :3] += actions[:, :3]
        self._width[ids] = MAX_GRIPPER_WIDTH * gripper_opening(actions[:, 6])
        distance = np.linalg.norm(self._gripper[ids, :3] - self._object[ids, :3], axis=-1)
        shut = self._width[ids] < 0.5 * MAX_GRIPPER_WIDTH
        success = (distance < TOUCH) & shut
        reward = np.where(success, 1.0, 0.5 * np.exp(-distance / 0.05) + 0.2 * (shut & (distance < 0.03)))
        return StepResult(reward, success)

    def get_state(self):
        names = ("_gripper", "_object", "_base_error", "_width")
        return {name[1:]: getattr(self, name).copy() for name in names}

    def set_state(self, state) -> None:
        for name, value in state.items():
            getattr(self, f"_{name}")[:] = value


class WithoutChunks:
    """Heads for where the image shows the object, which it looks at each `CHUNK` steps."""

    def __init__(self, num_envs: int) -> None:
        self._goal = np.zeros((num_envs, 3))
        self._t = np.zeros(num_envs, np.int64)

    def reset(self, ids, seeds) -> None:
        self._t[ids] = 0

    def act(self, observation, ids, capture):
        due = ids[self._t[ids] % CHUNK == 0]
        if len(due):
            pixels = np.ascontiguousarray(capture(due)["front"]).reshape(len(due), 6).view(np.uint16)
            self._goal[due] = pixels / 1e4 - 1.0
        self._t[ids] += 1
        step = np.clip(0.15 * (self._goal[ids] - observation.gripper_pose[:, :3]), -0.015, 0.015)
        return np.concatenate([step, np.zeros((len(ids), 3)), np.full((len(ids), 1), 0.45)], axis=-1)

    def get_state(self):
        return {"goal": self._goal.copy(), "t": self._t.copy()}

    def set_state(self, state) -> None:
        self._goal[:], self._t[:] = state["goal"], state["t"]


class ToyBase(WithoutChunks):
    """The same, which tells of its chunks: where it heads is all that is in them."""

    largest_delay = 0

    def chunk_phase(self, ids):
        return np.stack([(self._t[ids] - 1) % CHUNK / CHUNK, np.full(len(ids), 0.25)], axis=-1)

    def coming_actions(self, ids, count):
        heading = np.concatenate([self._goal[ids] / 100, np.tile([0.0, 0.0, 0.0, 0.45], (len(ids), 1))], axis=-1)
        return np.tile(heading[:, None], (1, count, 1))


def demonstrations(count: int) -> list[ReplayEpisode]:
    """Episodes of a demonstrator that knows where the object is."""
    return [_demonstration(seed) for seed in range(3_000_000, 3_000_000 + count)]


def _demonstration(seed: int) -> ReplayEpisode:
    environment, ids = ToyEnvironment(1), np.array([0])
    environment.reset(ids, [seed])
    observations, images, actions, rewards, successes = [environment.observe()], [], [], [], []
    while len(actions) < TOY_TASK.horizon and not (successes and successes[-1]):
        now = observations[-1]
        offset = now.object_poses[0, 0, :3] - now.gripper_pose[0, :3]
        opening = 0.1 if np.linalg.norm(offset) < 0.03 else 0.9
        actions.append(np.concatenate([np.clip(0.4 * offset, -0.02, 0.02), np.zeros(3), [opening]]))
        images.append(environment.capture(ids)["front"][0])
        result = environment.step(actions[-1][None], ids)
        rewards.append(result.reward[0])
        successes.append(result.success[0])
        observations.append(environment.observe())
    stacked = {n: np.concatenate([getattr(o, n) for o in observations]) for n in observations[0].arrays()}
    return ReplayEpisode(
        source=f"toy-{seed}",
        observation=Observation(**stacked),
        images={"front": np.stack(images)},
        action=np.array(actions),
        reward=np.array(rewards),
        success=np.array(successes),
    )


def success_rate(residual, episodes: int = 64, first_seed: int = 1_000_000) -> float:
    """Success of the base with `residual` added, over `episodes` initial states."""
    from ocrrl.rollouts.control_loop import run_episodes

    seeds = range(first_seed, first_seed + episodes)
    outcomes = run_episodes(ToyEnvironment(episodes), ToyBase(episodes), residual, seeds)
    return float(np.mean([outcome.success for outcome in outcomes]))
