"""n-step returns of many environments at once, each with a window of its own, and the shaping of their rewards.

Legend: N environments, n steps, D length of the residual observation; k of them stepped.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from ocrrl.interface.observations import action_features
from ocrrl.residual.transitions import TransitionRow


class NStepReturns:
    """Turns single steps into rows of `TransitionRow`; a window never reaches into another environment or episode."""

    def __init__(self, num_envs: int, observation_dim: int, n_step: int, gamma: float, success_value: float) -> None:
        """`gamma` a step; `success_value` is what follows a success."""
        self.layout = TransitionRow(observation_dim)
        self._gamma = gamma
        self._success_value = success_value
        self._heads = np.zeros((num_envs, n_step, self.layout.head), np.float32)
        self._returns = np.zeros((num_envs, n_step))
        self._count = np.zeros(num_envs, np.int64)

    def add(
        self,
        ids: Int[np.ndarray, " k"],
        observation: Float[np.ndarray, "k D"],
        action: Float[np.ndarray, "k 7"],
        base_action: Float[np.ndarray, "k 7"],
        reward: Float[np.ndarray, " k"],
        next_observation: Float[np.ndarray, "k D"],
        next_base_action: Float[np.ndarray, "k 7"],
        terminated: Bool[np.ndarray, " k"],
        truncated: Bool[np.ndarray, " k"],
    ) -> Float[np.ndarray, "m width"]:
        """The rows that one step of the environments `ids` completes, ordered by environment, then age.

        `action` is the combined action. `next_observation` is the one that the action led to: where the episode ended,
        the one BEFORE the reset. A terminated episode (success) is followed by `success_value`, a truncated one
        bootstraps from the critics at `next_observation`.
        """
        newest = self._count[ids]
        self._heads[ids, newest] = np.concatenate([observation, action_features(action), base_action], axis=-1)
        slots = np.arange(self._heads.shape[1])
        age = newest[:, None] - slots  # steps since the action of a slot was taken
        self._returns[ids] += np.where(age >= 0, self._gamma ** np.maximum(age, 0) * reward[:, None], 0.0)

        ended = terminated | truncated
        full = newest + 1 == len(slots)
        complete = (age >= 0) & (ended[:, None] | (full[:, None] & (slots == 0)))
        k, slot = np.nonzero(complete)
        discount = self._gamma ** (age[k, slot] + 1)
        rows = np.empty((len(k), self.layout.width), np.float32)
        rows[:, : self.layout.head] = self._heads[ids[k], slot]
        self.layout.next_observation(rows)[:] = next_observation[k]
        self.layout.next_base_action(rows)[:] = next_base_action[k]
        self.layout.reward(rows)[:, 0] = self._returns[ids[k], slot] + terminated[k] * discount * self._success_value
        self.layout.discount(rows)[:, 0] = np.where(terminated[k], 0.0, discount)

        shifted, restarted = ids[full & ~ended], ids[ended]
        self._heads[shifted, :-1] = self._heads[shifted, 1:]
        self._returns[shifted, :-1] = self._returns[shifted, 1:]
        self._returns[shifted, -1] = 0.0
        self._count[ids] = np.where(full, newest, newest + 1)
        self._returns[restarted] = 0.0
        self._count[restarted] = 0
        return rows

    def get_state(self) -> dict[str, np.ndarray]:
        """The open windows, for a checkpoint."""
        return {"heads": self._heads.copy(), "returns": self._returns.copy(), "count": self._count.copy()}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from `get_state`."""
        self._heads[:], self._returns[:], self._count[:] = state["heads"], state["returns"], state["count"]


def potential(reward: Float[np.ndarray, " n"], success: Bool[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """The potential of the state that a step led to: its reward, 1 where it ended in success."""
    return np.where(success, 1.0, reward)


def shaped(
    reward: Float[np.ndarray, " n"],
    before: Float[np.ndarray, " n"],
    after: Float[np.ndarray, " n"],
    weight: float,
    gamma: float,
) -> Float[np.ndarray, " n"]:
    """reward + weight (gamma `after` - `before`), `before` and `after` being potentials; the best policy stays the same.

    Potential-based shaping (Ng, Harada and Russell 1999), the staged reward being its own potential.
    A reward for how far things have come is credited to whatever comes next; with `weight` 1 / (1 - gamma) only its
    changes count, at once and to the step that caused them: (after - before) / (1 - gamma), where `after` is `reward`.
    A NaN `before`, at an episode's first step, stands for `after`.
    """
    return reward + weight * (gamma * after - np.where(np.isnan(before), after, before))
