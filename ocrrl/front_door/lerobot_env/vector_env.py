"""`TabletopVectorEnv` with the names that LeRobot's rollouts read. Legend: N environments."""

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorWrapper
from gymnasium.vector.utils import batch_space

from ocrrl.front_door.gymnasium_env import PIXELS, Observed, TabletopVectorEnv
from ocrrl.interface.actions import limit
from ocrrl.interface.observations import PROPRIOCEPTION_DIM, RobotState
from ocrrl.interface.tabletop_tasks import TabletopTask

STATE = "agent_pos"
"""LeRobot's name of what it passes to a policy as `observation.state`."""


class LeRobotVectorEnv(VectorWrapper[Observed, np.ndarray, Observed, np.ndarray, np.ndarray]):
    """Observations are `pixels`, images (N, height, width, 3) uint8 by camera, and `agent_pos` (N, 8), a VLA's proprioception.

    Actions (N, 7) are those of `interface.actions`, float32. LeRobot steps every environment until the last episode has ended:
    one whose episode has ended repeats its `terminated`, `truncated` and `is_success` with reward 0 until `reset`.
    """

    env: TabletopVectorEnv

    def __init__(self, env: TabletopVectorEnv, task: TabletopTask) -> None:
        """`env` takes images (`pixels=True`) and is of the tabletop task `task`."""
        super().__init__(env)
        state = spaces.Box(-np.inf, np.inf, (PROPRIOCEPTION_DIM,), np.float32)
        images = env.single_observation_space[PIXELS]  # pyright: ignore[reportIndexIssue]
        self.single_observation_space = spaces.Dict({PIXELS: images, STATE: state})
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)
        self._attributes = {
            "task": task.slug,
            "task_description": task.instruction,
            "_max_episode_steps": task.horizon,
        }
        self._succeeded = np.zeros(env.num_envs, bool)
        self._ended = np.zeros(env.num_envs, bool)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Observed, dict[str, Any]]:
        """Initial states as `TabletopVectorEnv.reset` gives them for `seed`: one number, or one an environment."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._succeeded[:] = self._ended[:] = False
        return _as_lerobot(observation), {"seed": info["seed"], "is_success": self._succeeded.copy()}

    def step(self, actions: np.ndarray) -> tuple[Observed, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One control step; ValueError for an action that is not finite."""
        if not np.isfinite(actions).all():
            raise ValueError(
                "the policy's action must be finite, got NaN or infinity: its checkpoint's statistics or weights are damaged"
            )
        observation, reward, terminated, truncated, _ = self.env.step(limit(actions))  # as `rollouts.control_loop` does
        reward = np.where(self._ended, 0.0, reward)
        self._succeeded |= terminated & ~self._ended
        self._ended |= terminated | truncated
        succeeded = self._succeeded.copy()
        return _as_lerobot(observation), reward, succeeded, self._ended & ~succeeded, {"is_success": succeeded}

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """What each environment has under `name`; AttributeError for a name that LeRobot may do without."""
        if name not in self._attributes:
            raise AttributeError(f"an environment of ocrrl has {', '.join(self._attributes)}, got {name!r}")
        return (self._attributes[name],) * self.env.num_envs

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """As `gymnasium.vector.SyncVectorEnv.call`: `render`, or an attribute."""
        return self.env.render() or () if name == "render" else self.get_attr(name)


def _as_lerobot(observation: Observed) -> Observed:
    robot = RobotState(
        observation["gripper_pose"],
        observation["commanded_pose"],
        observation["joint_positions"],
        observation["gripper_width"][:, 0],
    )
    return {PIXELS: observation[PIXELS], STATE: robot.proprioception()}
