"""A residual kept for several control steps: what each environment decided last, and what that has led to so far.

One step of 50 ms moves the hand by a few millimetres, which no return tells from noise; a decision kept for `every`
steps moves it as many times as far. One decision is one row of experience; with `every` 1 it is one control step.
`exploration_noise` is what training adds to a decision.
Legend: N environments, n of them selected by ids (n,), D length of the residual observation.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from ocrrl.interface.actions import ACTION_DIM, compose
from ocrrl.residual.residual_config import ACTION_UNITS, ResidualConfig, per_dimension

_STATE = ("age", "residual", "observation", "base_action", "action", "reward")


class Decisions:
    """The latest decision of each of N environments."""

    def __init__(self, num_envs: int, observation_dim: int, every: int, gamma: float) -> None:
        """`gamma` discounts the rewards of one control step after the other within a decision."""
        self._every, self._gamma = every, gamma
        self.age = np.full(num_envs, every)
        """Control steps since the decision; `every`: a new one is due."""
        self.residual = np.zeros((num_envs, ACTION_DIM), np.float32)
        self.observation = np.zeros((num_envs, observation_dim), np.float32)
        """What was seen when the decision was made, as are the next two."""
        self.base_action = np.zeros((num_envs, ACTION_DIM), np.float32)
        self.action = np.zeros((num_envs, ACTION_DIM), np.float32)
        """Combined."""
        self.reward = np.zeros(num_envs)
        """Discounted sum since."""

    def due(self) -> Int[np.ndarray, " n"]:
        """The environments that have to decide before their next step."""
        return np.flatnonzero(self.age >= self._every)

    def make(
        self,
        ids: Int[np.ndarray, " n"],
        observation: Float[np.ndarray, "n D"],
        base_action: Float[np.ndarray, "n 7"],
        residual: Float[np.ndarray, "n 7"],
    ) -> None:
        self.age[ids], self.reward[ids] = 0, 0.0
        self.residual[ids], self.observation[ids], self.base_action[ids] = residual, observation, base_action
        self.action[ids] = compose(base_action, residual)

    def step(self, reward: Float[np.ndarray, " N"], ended: Bool[np.ndarray, " N"]) -> Int[np.ndarray, " n"]:
        """Count one control step of all environments; those whose decision is over, by age or with the episode."""
        self.reward += self._gamma**self.age * reward
        self.age = np.where(ended, self._every, self.age + 1)
        return self.due()

    def get_state(self) -> dict[str, np.ndarray]:
        """For a checkpoint."""
        return {name: getattr(self, name).copy() for name in _STATE}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from `get_state`."""
        for name in _STATE:
            getattr(self, name)[:] = state[name]


def exploration_noise(
    config: ResidualConfig, ids: Int[np.ndarray, " n"], generator: np.random.Generator
) -> Float[np.ndarray, "n 7"]:
    """clip(N(0, sigma), -c, c) in units of the action's range, as residuals [m, rad, opening] (Algorithm 1, line 12).

    sigma falls over the environments, from `exploration_std` in the first to `exploration_least` of it in the last ("mixed
    exploration", Li et al. 2023): with noise at every decision an episode seldom comes to stages where centimetres decide.
    """
    share = np.linspace(1.0, config.exploration_least, config.num_envs)[ids]
    noise = generator.standard_normal((len(ids), ACTION_DIM)) * share[:, None] * per_dimension(config.exploration_std)
    return (np.clip(noise, -config.exploration_clip, config.exploration_clip) * ACTION_UNITS).astype(np.float32)
