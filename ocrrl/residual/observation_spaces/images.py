"""Images in place of object poses, as ResFiT's residual has them; rows hold the numbers of their frames."""

from typing import Any

import numpy as np

from ocrrl.interface.cameras import CameraSizes
from ocrrl.interface.observations import Observation
from ocrrl.interface.protocols import Environment
from ocrrl.interface.residual_observations import (
    Redressable,
    images_at,
    robot_observation,
    robot_observation_dim,
)
from ocrrl.residual.images.frames import FrameStore
from ocrrl.residual.images.image_policy import PREFIX, ImageResidualPolicy
from ocrrl.residual.images.image_td3 import ImageTD3
from ocrrl.residual.observation_spaces.space import ChunkFeatures, actor, placeable
from ocrrl.residual.residual_config import ResidualConfig
from ocrrl.residual.residual_policy import ResidualPolicy

_LOOKS = 2**31  # seeds of looks


def image_cameras(config: ResidualConfig, environment: Any) -> CameraSizes:
    """The cameras that `environment` takes the VLA's images with, at the residual's size."""
    return dict.fromkeys(sorted(environment.cameras), (config.images.size, config.images.size))


class ImageSpace:
    """The robot's observation and the number of a frame of the declared cameras."""

    def __init__(
        self, config: ResidualConfig, environment: Environment, cameras: CameraSizes, frames: FrameStore
    ) -> None:
        self.reenacted_in = placeable(environment)
        self._config, self._environment, self.cameras, self.frames = config, environment, cameras, frames
        self._images = images_at(environment, cameras)
        anew = config.images.look == "realistic" and config.images.look_every == "decision"
        self._redress = environment.redress if anew and isinstance(environment, Redressable) else None
        self.robot_dim = robot_observation_dim(config.chunk_phase, config.coming_actions)
        self.dim = self.robot_dim + 1

    def observe(
        self,
        ids: np.ndarray,
        deciding: np.ndarray,
        observation: Observation,
        base_action: np.ndarray,
        chunks: ChunkFeatures,
        generator: np.random.Generator,
    ) -> np.ndarray:
        rows = np.zeros((len(ids), self.dim), np.float32)
        rows[:, :-1] = robot_observation(observation, base_action, chunks)
        if deciding.any():
            if self._redress is not None:
                self._redress(ids[deciding], generator.integers(_LOOKS, size=int(deciding.sum())))
            offsets = observation.object_poses[deciding, :, :3] - observation.gripper_pose[deciding, None, :3]
            images = self._images(ids[deciding], self._environment.capture)
            rows[deciding, -1] = self.frames.add(images, offsets.reshape(len(offsets), -1))
        return rows

    def learner(self, seed: int) -> ImageTD3:
        return ImageTD3(self.robot_dim, len(self.cameras), self.frames, self._config, seed)

    def policy(self, weights: dict[str, np.ndarray], largest_delay: int) -> ImageResidualPolicy:
        acting = actor(ResidualPolicy, self._config, weights, largest_delay)
        encoder = {name.removeprefix(PREFIX): value for name, value in weights.items() if name.startswith(PREFIX)}
        return ImageResidualPolicy(acting, encoder, self.cameras, self._config.images.look, self._config.observation)
