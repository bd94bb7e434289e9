"""One row of a replay buffer: observation, combined action, and the outcome after up to n steps.

A row is float32 and as wide as `TransitionRow.width`:
    observation        D   s_t, as the policy saw it (augmented)
    action             7   `action_features` of the COMBINED action a_t (Algorithm 1, line 15)
    base_action        7   a_base at s_t, in the action's units
    next_observation   D   s_{t+k}, k <= n; at an episode's end the one before the reset
    next_base_action   7   a_base at s_{t+k}
    reward             1   sum of gamma^j r_{t+j} over j < k, and the value of a success where one ended the episode
    discount           1   gamma^k, or 0 where nothing follows
"""

from dataclasses import dataclass
from typing import Any

from ocrrl.interface.actions import ACTION_DIM
from ocrrl.interface.observations import ACTION_FEATURES


@dataclass(frozen=True)
class TransitionRow:
    """Names the columns of rows (..., width), of numpy or torch, for observations of length `observation_dim`."""

    observation_dim: int

    @property
    def head(self) -> int:
        """Columns known when the action is taken: observation, action, base action."""
        return self.observation_dim + ACTION_FEATURES + ACTION_DIM

    @property
    def width(self) -> int:
        return self.head + self.observation_dim + ACTION_DIM + 2

    def observation(self, rows: Any) -> Any:
        return rows[..., : self.observation_dim]

    def action(self, rows: Any) -> Any:
        return rows[..., self.observation_dim : self.observation_dim + ACTION_FEATURES]

    def base_action(self, rows: Any) -> Any:
        return rows[..., self.head - ACTION_DIM : self.head]

    def next_observation(self, rows: Any) -> Any:
        return rows[..., self.head : self.head + self.observation_dim]

    def next_base_action(self, rows: Any) -> Any:
        return rows[..., self.head + self.observation_dim : self.head + self.observation_dim + ACTION_DIM]

    def reward(self, rows: Any) -> Any:
        """(..., 1), as is the discount."""
        return rows[..., -2:-1]

    def discount(self, rows: Any) -> Any:
        return rows[..., -1:]
