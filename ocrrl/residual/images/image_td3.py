"""TD3 on images: an encoder of its own before the networks of `ocrrl.residual.td3`, whose update is the same.

A row's observation is here [robot observation, number of a frame]; the networks are given [features of the frame, robot observation].
Actor and critics share the encoder, which the critics' gradient alone trains (DrQ-v2, Yarats et al. 2021); what the targets see of the
next frame comes from a target encoder. An update through the encoder costs some thirty times one of the networks: in each cycle of
`images.encoder_cycle` updates the first `images.encoder_share` train the encoder. Then it is frozen, each frame is encoded once, and
updates are those of a residual of poses.
Legend: B samples, b of them through the encoder, F features, P numbers of the robot's observation, D = P + 1.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ocrrl.residual.images.frames import FrameStore
from ocrrl.residual.images.trained_encoder import TrainedEncoder, through_encoder
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
        self._encoder = TrainedEncoder(robot_dim, cameras, frames, config, seed, self.device)

    @property
    def updates(self) -> int:
        return self._td3.updates

    @property
    def gradient_steps(self) -> int:
        """Updates after each step of all environments."""
        return self.config.gradient_steps

    def update(self, batch: Float[Tensor, "B width"], offline_count: int = 0) -> None:
        """One update of critics and, where it is due, actor and targets; of the encoder too while it is trained."""
        trains, ends = self._trains_encoder(self.updates), not self._trains_encoder(self.updates + 1)
        self._td3.observation_gradient = torch.zeros(0, self.config.images.features if trains else 0)
        if not trains:
            now, following = self._frame_numbers(batch)
            kept = (torch.from_numpy(self._encoder.kept_features(numbers)) for numbers in (now, following))
            self._td3.update(self._encoded(batch, *kept), offline_count)
            return
        chosen = through_encoder(len(batch), self.config)
        rows = batch[chosen]
        now, following = self._frame_numbers(rows)
        features = self._encoder.shifted_features(now)
        encoded = self._encoded(rows, features.detach(), self._encoder.target_features(following))
        self._td3.update(encoded, int((chosen < offline_count).sum()))
        self._encoder.step(features, self._td3.observation_gradient.clone(), self.layout.observation(rows)[:, :-1], now)
        followed = self._td3.followed
        self._encoder.follow(
            self.config.tau if followed.targets else 0.0, self._td3.average_share if followed.actor else 0.0
        )
        if ends:
            self._encoder.freeze()
            self._td3.restart_average()

    def residual(self, observation: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "n 7"]:
        """The actor's residuals in the action's units."""
        numbers = observation[:, -1].astype(np.int64)
        features = (
            self._encoder.features(numbers)
            if self._trains_encoder(self.updates)
            else self._encoder.kept_features(numbers)
        )
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

    def _trains_encoder(self, update: int) -> bool:
        """Whether this update, counted from 0, trains the encoder."""
        images = self.config.images
        of_cycle = round(images.encoder_share * images.encoder_cycle)
        cycle, place = divmod(update, images.encoder_cycle)
        return place < of_cycle and cycle * of_cycle + place < images.encoder_updates

    def _frame_numbers(self, rows: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Of the frames that the decisions saw, and those that followed."""
        seen: list[Any] = [self.layout.observation(rows), self.layout.next_observation(rows)]
        return seen[0][:, -1].long().cpu().numpy(), seen[1][:, -1].long().cpu().numpy()

    def _encoded(
        self, rows: Tensor, features: Float[Tensor, "b F"], next_features: Float[Tensor, "b F"]
    ) -> Float[Tensor, "b wide"]:
        """Rows with features in the frame numbers' place, first in the observation."""
        mine, wide = self.layout, self._td3.layout
        out = torch.empty((len(rows), wide.width), device=self.device)
        wide.observation(out)[:] = torch.cat([features, mine.observation(rows)[:, :-1].to(self.device)], dim=1)
        wide.next_observation(out)[:] = torch.cat(
            [next_features, mine.next_observation(rows)[:, :-1].to(self.device)], dim=1
        )
        for name in ("action", "base_action", "next_base_action", "reward", "discount"):
            getattr(wide, name)(out)[:] = getattr(mine, name)(rows)
        return out
