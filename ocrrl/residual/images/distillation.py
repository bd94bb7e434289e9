"""DAgger (Ross, Gordon and Bagnell 2011): a student of images regresses to what a privileged teacher does where the student acts.

It is used in Algorithm 1 in TD3's place: the student acts, and a row's observation, [robot observation, number of a frame, teacher's
residual in units of the scale], holds what the teacher would have done; rewards and what followed are not looked at.
Legend: B samples, F features, P numbers of the robot's observation, D = P + 8.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ocrrl.interface.actions import ACTION_DIM
from ocrrl.interface.devices import chosen_device
from ocrrl.residual.images.frames import FrameStore
from ocrrl.residual.images.trained_encoder import TrainedEncoder, through_encoder
from ocrrl.residual.networks import Network, learned, parameter_count
from ocrrl.residual.residual_config import ResidualConfig, in_action_units
from ocrrl.residual.td3 import FINAL_ACTOR_GAIN, UpdateStatistics, named_layers
from ocrrl.residual.transitions import TransitionRow


class Student:
    """Encoder and actor of the sizes that `ImageTD3` has, learning from a teacher's residuals alone."""

    def __init__(self, robot_dim: int, cameras: int, frames: FrameStore, config: ResidualConfig, seed: int) -> None:
        """`robot_dim` is P."""
        self.config, self.layout = config, TransitionRow(robot_dim + 1 + ACTION_DIM)
        self.device = torch.device(chosen_device(config.device))
        self.updates = 0
        self._robot_dim = robot_dim
        self._scale = in_action_units(config.residual_scale)
        self._encoder = TrainedEncoder(robot_dim, cameras, frames, config, seed, self.device)
        size = (config.images.features + robot_dim, config.actor_hidden, ACTION_DIM)
        self._actor, gradient, self._adam = learned(parameter_count(*size), config.actor_lr, self.device)
        self._average = torch.empty_like(self._actor)
        self._network, self._average_network = (
            Network(*size, config.layer_norm, flat, gradient) for flat in (self._actor, self._average)
        )
        self._network.initialise(torch.Generator().manual_seed(seed), FINAL_ACTOR_GAIN)
        self._average.copy_(self._actor)
        self._last = (0.0, 0.0)

    @property
    def gradient_steps(self) -> int:
        """Updates after each step of all environments."""
        return self.config.images.gradient_steps

    def update(self, batch: Float[Tensor, "B width"], offline_count: int = 0) -> None:
        """Adam down mean |u - u_teacher|^2 over `images.batch_size` rows, u being residuals in units of their scale."""
        self.updates += 1
        rows = batch[through_encoder(len(batch), self.config)]
        robot, numbers, target = self._parts(self.layout.observation(rows))
        features = self._encoder.shifted_features(numbers.numpy())
        with torch.inference_mode():
            x = torch.cat([features.detach(), robot.to(self.device)], dim=1)
            u = torch.tanh(self._network.forward(x, remember=True))
            error = u - target.to(self.device)
            grad = error * (1.0 - u * u) * (2.0 / error.numel())
            toward_features = self._network.input_gradient(grad, first=0)[:, : features.shape[1]]
            self._network.backward(grad)
            self._adam.step()
            share = max(self.config.actor_ema, 1.0 / self.updates)
            self._average.lerp_(self._actor, share)
            self._last = float(error.square().mean()), float(u.abs().mean())
        self._encoder.step(features, toward_features.clone(), robot, numbers.numpy())
        self._encoder.follow(average=share)

    @torch.inference_mode()
    def residual(self, observation: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "n 7"]:
        """The student's residuals in the action's units."""
        robot, numbers, _ = self._parts(torch.from_numpy(observation))
        x = torch.cat([torch.from_numpy(self._encoder.features(numbers.numpy())), robot], dim=1).to(self.device)
        return torch.tanh(self._network.forward(x)).cpu().numpy() * self._scale

    def statistics(self) -> UpdateStatistics:
        """Of the last update; the loss stands where TD3 has that of its critics, and there is no Q."""
        return UpdateStatistics(0.0, *self._last)

    def actor_weights(self) -> dict[str, np.ndarray]:
        """Of the averaged actor and the averaged encoder."""
        return named_layers(self._average_network.parameters) | self._encoder.weights()

    def get_state(self) -> dict[str, np.ndarray]:
        """For a checkpoint."""
        state = {name: vector.detach().cpu().numpy().copy() for name, vector in self._vectors().items()}
        state |= {f"encoder:{name}": value for name, value in self._encoder.get_state().items()}
        return state | {"updates": np.array(self.updates), "last": np.array(self._last)}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from `get_state` of a learner with the same config."""
        self.updates, self._last = int(state["updates"]), tuple(state["last"].tolist())
        for name, vector in self._vectors().items():
            vector.data.copy_(torch.from_numpy(state[name].copy()))
        self._encoder.set_state({n.removeprefix("encoder:"): v for n, v in state.items() if n.startswith("encoder:")})

    def _parts(self, observation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Robot observation, frame numbers and the teacher's residuals of observations (B, D)."""
        robot, number, target = observation.split([self._robot_dim, 1, ACTION_DIM], dim=1)
        return robot, number[:, 0].long(), target

    def _vectors(self) -> dict[str, Tensor]:
        (moments,) = self._adam.state.values()
        adam = {f"adam.{key}": moments[key] for key in ("step", "exp_avg", "exp_avg_sq")}
        return {"actor": self._actor, "average": self._average} | adam
