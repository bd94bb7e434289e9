"""The encoder while it is trained: with its target, its average that is published, its optimiser, and the frames that it sees.

Legend: n frames, F features, P numbers of the robot's observation.
"""

import copy
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ocrrl.residual.images.encoder import Encoder
from ocrrl.residual.images.frames import FrameStore, shifted
from ocrrl.residual.images.image_policy import PREFIX
from ocrrl.residual.residual_config import ResidualConfig

_AT_ONCE = 256  # frames
_OFFSET_UNIT = 0.05  # [m]


class TrainedEncoder:
    """Encodes frames by their numbers, and steps down a gradient with respect to the features that it gave."""

    def __init__(
        self, robot_dim: int, cameras: int, frames: FrameStore, config: ResidualConfig, seed: int, device: torch.device
    ) -> None:
        self._frames, self._config, self._device = frames, config, device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            online = Encoder(cameras, config.images.size, config.images.channels, config.images.features)
            self._positions = (
                _position_head(config.images.features + robot_dim, frames.offset_dim).to(device)
                if config.images.position_loss
                else None
            )
        self._online = online.to(device)
        self._target, self._average = copy.deepcopy(self._online), copy.deepcopy(self._online)
        self._kept = np.zeros((0, config.images.features), np.float32)
        self._shifts = torch.Generator().manual_seed(seed)
        trained = [parameter for _, parameter in self._trained()]
        self._adam = torch.optim.Adam(trained, lr=config.images.learning_rate, fused=True)
        for parameter in trained:  # Adam's moments are there from the beginning, to be saved and restored
            parameter.grad = torch.zeros_like(parameter)
        self._adam.step()
        for moments in self._adam.state.values():
            moments["step"].zero_()

    def features(self, numbers: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n F"]:
        """Of frames as they are, by the encoder of now, without a gradient."""
        with torch.no_grad():
            return self._online(self._to_device(self._frames.take(numbers))).cpu().numpy()

    def freeze(self) -> None:
        """Stop training for a while: target and average become the encoder of now, and frames are encoded anew."""
        self.follow(target=1.0, average=1.0)
        self._kept = self._kept[:0]

    def kept_features(self, numbers: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n F"]:
        """Of frames as they are, each encoded once: for a frozen encoder."""
        for first in range(len(self._kept), len(self._frames), _AT_ONCE):
            following = np.arange(first, min(first + _AT_ONCE, len(self._frames)))
            self._kept = np.concatenate([self._kept, self.features(following)])
        return self._kept[numbers]

    def shifted_features(self, numbers: Int[np.ndarray, " n"]) -> Float[Tensor, "n F"]:
        """Of randomly shifted frames, for `step`."""
        return self._online(self._shifted(numbers))

    def target_features(self, numbers: Int[np.ndarray, " n"]) -> Float[Tensor, "n F"]:
        """Of randomly shifted frames, by the target encoder."""
        with torch.no_grad():
            return self._target(self._shifted(numbers))

    def step(
        self,
        features: Float[Tensor, "n F"],
        gradient: Float[Tensor, "n F"],
        robot: Float[Tensor, "n P"],
        numbers: Int[np.ndarray, " n"],
    ) -> None:
        """Adam down `gradient`, the loss's with respect to `features` of `shifted_features`, and down `images.position_loss`."""
        self._adam.zero_grad()
        if self._positions is not None:
            offsets = torch.from_numpy(self._frames.offsets(numbers) / _OFFSET_UNIT).to(self._device)
            guess = self._positions(torch.cat([features, robot.to(self._device)], dim=1))
            loss = self._config.images.position_loss * torch.nn.functional.smooth_l1_loss(guess, offsets, beta=0.1)
            torch.autograd.backward((features, loss), (gradient, None))
        else:
            features.backward(gradient)
        self._adam.step()

    @torch.no_grad()
    def follow(self, target: float = 0.0, average: float = 0.0) -> None:
        """Move target and average this share of the way to the encoder of now."""
        online = list(self._online.parameters())
        for share, network in ((target, self._target), (average, self._average)):
            if share:
                for follower, parameter in zip(network.parameters(), online, strict=True):
                    follower.lerp_(parameter, share)

    def weights(self) -> dict[str, np.ndarray]:
        """A copy of the average, to publish."""
        return _arrays(PREFIX, self._average)

    def get_state(self) -> dict[str, np.ndarray]:
        """For a checkpoint."""
        state = {"shifts": self._shifts.get_state().numpy().copy()}
        for prefix, network in self._networks().items():
            state |= _arrays(prefix, network)
        for name, parameter in self._trained():
            state |= {
                f"adam.{name}.{key}": value.cpu().numpy().copy() for key, value in self._adam.state[parameter].items()
            }
        return state

    @torch.no_grad()
    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from `get_state`."""
        self._shifts.set_state(torch.from_numpy(state["shifts"].copy()))
        for prefix, network in self._networks().items():
            for name, parameter in network.named_parameters():
                parameter.copy_(torch.from_numpy(state[prefix + name].copy()))
        for name, parameter in self._trained():
            for key, value in self._adam.state[parameter].items():
                value.copy_(torch.from_numpy(state[f"adam.{name}.{key}"].copy()))

    def _networks(self) -> Mapping[str, nn.Module]:
        networks: dict[str, nn.Module] = {"online.": self._online, "target.": self._target, "average.": self._average}
        return networks | ({"positions.": self._positions} if self._positions is not None else {})

    def _trained(self) -> list[tuple[str, nn.Parameter]]:
        heads = self._positions.named_parameters("positions") if self._positions is not None else ()
        return [*self._online.named_parameters(), *heads]

    def _shifted(self, numbers: np.ndarray) -> Tensor:
        most = self._config.images.shift
        offsets = torch.randint(0, 2 * most + 1, (len(numbers), 2), generator=self._shifts).numpy()
        return self._to_device(shifted(self._frames.take(numbers), most, offsets))

    def _to_device(self, frames: np.ndarray) -> Tensor:
        return torch.from_numpy(frames).to(self._device)


def through_encoder(batch: int, config: ResidualConfig) -> Int[np.ndarray, " b"]:
    """Rows of a batch that an update of the encoder looks at: `images.batch_size`, evenly, as its first rows are demonstrations."""
    return np.linspace(0, batch, min(config.images.batch_size, batch), endpoint=False).astype(int)


def _position_head(inputs: int, outputs: int) -> nn.Sequential:
    """From features and the robot's observation to the objects' offsets; trained beside the encoder, and not published."""
    return nn.Sequential(nn.Linear(inputs, 128), nn.LayerNorm(128), nn.ReLU(), nn.Linear(128, outputs))


def _arrays(prefix: str, network: nn.Module) -> dict[str, np.ndarray]:
    """Copies of the parameters, which training goes on to change."""
    return {prefix + name: value.detach().cpu().numpy().copy(order="C") for name, value in network.named_parameters()}
