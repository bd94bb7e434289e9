"""TD3 on images: an encoder of its own before the networks of `ocrrl.residual.td3`, whose update is the same.

A row's observation is here [robot observation, number of a frame]; the networks are given [features of the frame, robot observation].
Actor and critics share the encoder, which the critics' gradient alone trains (DrQ-v2, Yarats et al. 2021); what the targets see of the
next frame comes from a target encoder.
Legend: B samples, F features, P numbers of the robot's observation, D = P + 1.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ocrrl.residual.images.frames import FrameStore
from ocrrl.residual.images.trained_encoder import TrainedEncoder
from ocrrl.residual.residual_config import ResidualConfig
from ocrrl.residual.td3 import TD3, UpdateStatistics
from ocrrl.residual.transitions import TransitionRow


class ImageTD3:
    """As `ocrrl.residual.td3.TD3`, for rows whose observation ends with the number of a frame in `frames`."""

    def __init__(self, robot_dim: int, cameras: int, frames: FrameStore, config: ResidualConfig, seed: int) -> None:
        """`robot_dim` is P."""
        self.config, self.layout = config, TransitionRow(robot_dim + 1)
        features = config.images.features
        self._td3 = TD3(features + robot_dim, config, seed, observation_gradient=features)
        self.device = self._td3.device
        self._encoder = TrainedEncoder(frames, cameras, config, seed, self.device)

    @property
    def updates(self) -> int:
        return self._td3.updates

    def update(self, batch: Float[Tensor, "B width"], offline_count: int = 0) -> None:
        """One update of critics, encoder and, where it is due, actor and targets."""
        rows = batch.to(self.device)
        seen, next_seen = self.layout.observation(rows), self.layout.next_observation(rows)
        features = self._encoder.shifted_features(_numbers(seen))
        next_features = self._encoder.target_features(_numbers(next_seen))
        inner = self._td3.layout
        wide = torch.empty((len(rows), inner.width), device=self.device)
        inner.observation(wide)[:] = torch.cat([features.detach(), seen[:, :-1]], dim=1)
        inner.next_observation(wide)[:] = torch.cat([next_features, next_seen[:, :-1]], dim=1)
        for column in (inner.action, inner.base_action, inner.next_base_action, inner.reward, inner.discount):
            column(wide)[:] = getattr(self.layout, column.__name__)(rows)
        self._td3.update(wide, offline_count)
        self._encoder.step(features, self._td3.observation_gradient.clone())
        followed = self._td3.followed
        self._encoder.follow(
            self.config.tau if followed.targets else 0.0, self._td3.average_share if followed.actor else 0.0
        )

    def residual(self, observation: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "n 7"]:
        """The actor's residuals in the action's units."""
        features = self._encoder.features(_numbers(observation)).cpu().numpy()
        return self._td3.residual(np.concatenate([features, observation[:, :-1]], axis=1))

    def statistics(self) -> UpdateStatistics:
        """What the last update saw."""
        return self._td3.statistics()

    def actor_weights(self) -> dict[str, np.ndarray]:
        """Of the averaged actor and the averaged encoder."""
        return self._td3.actor_weights() | self._encoder.weights()

    def get_state(self) -> dict[str, np.ndarray]:
        """For a checkpoint."""
        return self._td3.get_state() | {f"encoder:{name}": value for name, value in self._encoder.get_state().items()}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from `get_state` of a learner with the same config."""
        self._td3.set_state(state)
        self._encoder.set_state({n.removeprefix("encoder:"): v for n, v in state.items() if n.startswith("encoder:")})


def _numbers(observation: Any) -> np.ndarray:
    """The frames that the last column of an observation names."""
    return np.asarray(observation[:, -1]).astype(np.int64)
