"""Object poses with noise and dropout (Eq. 2, 4 and 5)."""

import dataclasses

import numpy as np

from ocrrl.interface.observations import Observation, residual_observation, residual_observation_dim
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.residual.observation_spaces.space import ChunkFeatures, actor
from ocrrl.residual.residual_config import ResidualConfig
from ocrrl.residual.residual_policy import ResidualPolicy
from ocrrl.residual.td3 import TD3


class ObjectSpace:
    """Object poses with noise and dropout (Eq. 2, 4 and 5)."""

    reenacted_in, frames = None, None

    def __init__(self, config: ResidualConfig, task: TabletopTask) -> None:
        self._config, self._task = config, task
        self._augmentation = config.pose_augmentation()
        self.dim = residual_observation_dim(self._task, config.chunk_phase, config.coming_actions)

    def observe(
        self,
        ids: np.ndarray,
        deciding: np.ndarray,
        observation: Observation,
        base_action: np.ndarray,
        chunks: ChunkFeatures,
        generator: np.random.Generator,
    ) -> np.ndarray:
        poses, visible = self._augmentation.augment(observation.object_poses, generator, self._task)
        return residual_observation(dataclasses.replace(observation, object_poses=poses), base_action, visible, chunks)

    def learner(self, seed: int) -> TD3:
        return TD3(self.dim, self._config, seed)

    def policy(self, weights: dict[str, np.ndarray], largest_delay: int) -> ResidualPolicy:
        return actor(ResidualPolicy, self._config, weights, largest_delay)
