"""True state, for a teacher: what ResiP trains its residual on."""

import numpy as np

from ocrrl.interface.observations import Observation, residual_observation_dim
from ocrrl.interface.protocols import Environment
from ocrrl.interface.residual_observations import (
    privileged_observation,
    require_privileged_state,
)
from ocrrl.residual.observation_spaces.space import ChunkFeatures, actor, placeable
from ocrrl.residual.residual_config import ResidualConfig
from ocrrl.residual.residual_policy import PrivilegedPolicy
from ocrrl.residual.td3 import TD3


class PrivilegedSpace:
    """True poses without noise or dropout, velocities and contact forces: a teacher's."""

    frames = None

    def __init__(self, config: ResidualConfig, environment: Environment) -> None:
        self.reenacted_in = placeable(environment)
        self._config, self._state = config, require_privileged_state(environment)
        self.dim = (
            residual_observation_dim(environment.tabletop_task, config.chunk_phase, config.coming_actions)
            + self._state.dim
        )

    def observe(
        self,
        ids: np.ndarray,
        deciding: np.ndarray,
        observation: Observation,
        base_action: np.ndarray,
        chunks: ChunkFeatures,
        generator: np.random.Generator,
    ) -> np.ndarray:
        state = np.zeros((len(ids), self._state.dim), np.float32)
        state[deciding] = self._state.read(ids[deciding])
        return privileged_observation(observation, base_action, chunks, state)

    def learner(self, seed: int) -> TD3:
        return TD3(self.dim, self._config, seed)

    def policy(self, weights: dict[str, np.ndarray], largest_delay: int) -> PrivilegedPolicy:
        return actor(PrivilegedPolicy, self._config, weights, largest_delay)
