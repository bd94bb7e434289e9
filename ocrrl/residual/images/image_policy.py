"""The trained residual of images for evaluation and the robot: an encoder in front of an actor.

Its folder holds, besides what a residual of object poses has, `encoder.safetensors`; config.json says which images it needs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import safetensors.numpy
from jaxtyping import Float

from ocrrl import files
from ocrrl.interface.cameras import CameraSizes, checked_cameras
from ocrrl.interface.json_file import said
from ocrrl.interface.observations import Images
from ocrrl.interface.residual_observations import LOOKS, Look
from ocrrl.interface.weights_file import read_weights_file

if TYPE_CHECKING:  # torch is imported when the first image is encoded
    from ocrrl.residual.images.encoder import Encoder

ENCODER_FILE = "encoder.safetensors"
PREFIX = "encoder."
"""Of the encoder's tensors among a policy's weights."""
_MOST = 8192


@dataclass(frozen=True)
class EncoderSizes:
    """What config.json says of the images and their encoder."""

    cameras: CameraSizes
    look: Look
    channels: int
    features: int


class Actor(Protocol):
    """What gives residuals from [features, robot observation]: a `residual_policy.ResidualPolicy`."""

    weights: dict[str, np.ndarray]
    scale: np.ndarray
    layer_norm: bool
    every: int
    chunk_delay: int
    chunk_phase: bool
    coming_actions: int

    @property
    def observation_dim(self) -> int: ...

    def residual(self, residual_observation: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "n 7"]: ...


class ImageResidualPolicy:
    """pi_res, an `interface.residual_observations.ImageResidual`."""

    def __init__(
        self, actor: Actor, encoder: Mapping[str, np.ndarray], cameras: CameraSizes, look: Look, observation: str
    ) -> None:
        """`encoder` holds the tensors of an `Encoder`; `cameras` have images of one size; `observation`: images or distilled."""
        self.actor, self.encoder = actor, dict(encoder)
        self.cameras: CameraSizes = dict(cameras)
        self.look: Look = look
        self.observation = observation
        self.every, self.chunk_phase, self.chunk_delay = actor.every, actor.chunk_phase, actor.chunk_delay
        self.coming_actions = actor.coming_actions

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """Of actor and encoder."""
        return self.actor.weights | {PREFIX + name: value for name, value in self.encoder.items()}

    def residual_of_images(
        self, images: Images, robot_observation: Float[np.ndarray, "n P"]
    ) -> Float[np.ndarray, "n 7"]:
        """Residuals [m, rad, opening], float32."""
        import torch

        frames = np.stack([images[name] for name in self.cameras], axis=1)
        with torch.inference_mode():
            features = self._network(torch.from_numpy(frames)).numpy()
        return self.actor.residual(np.concatenate([features, robot_observation], axis=1))

    @property
    def sizes(self) -> EncoderSizes:
        """Of images and encoder."""
        return EncoderSizes(
            self.cameras, self.look, len(self.encoder["cameras.0.parts.bias"]), len(self.encoder["norm.bias"])
        )

    @cached_property
    def _network(self) -> "Encoder":
        import torch

        network = _encoder(self.sizes)
        network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in self.encoder.items()})
        return network.eval()

    def __getstate__(self) -> dict[str, Any]:
        """To another process goes what it is, not torch's module."""
        return {name: value for name, value in vars(self).items() if name != "_network"}


def save_encoder(folder: Path, policy: ImageResidualPolicy) -> dict[str, Any]:
    """Write the encoder into `folder`; what config.json says of it and of the images."""
    files.write_bytes(folder / ENCODER_FILE, safetensors.numpy.save(policy.encoder))
    return {
        "observation": policy.observation,
        "look": policy.look,
        "cameras": {name: list(size) for name, size in policy.cameras.items()},
        "encoder": {"channels": policy.sizes.channels, "features": policy.sizes.features},
    }


def images_of(config: Mapping[str, Any], where: Path) -> EncoderSizes:
    """What the content of config.json says of the images; ValueError that names what it must be."""
    found, encoder = config.get("cameras"), config.get("encoder")
    sizes = list(found.values()) if isinstance(found, dict) else []
    whole = all(isinstance(size, list) and len(size) == 2 and all(type(n) is int for n in size) for size in sizes)
    if not sizes or not whole or any(size != [sizes[0][0]] * 2 for size in sizes):
        raise ValueError(f"{where}: cameras must be a mapping of names to one [size, size], got {said(found)}")
    cameras = checked_cameras(
        {name: (size, size) for name, (size, _) in config["cameras"].items()}, f"{where}: cameras"
    )
    numbers: list[Any] = [encoder.get(name) if isinstance(encoder, dict) else None for name in ("channels", "features")]
    if not all(type(number) is int and 1 <= number <= _MOST for number in numbers):
        raise ValueError(
            f"{where}: encoder must have channels and features, whole numbers from 1 to {_MOST}, got {said(encoder)}"
        )
    look: Any = config.get("look")
    if look not in LOOKS:
        raise ValueError(f"{where}: look must be one of {', '.join(LOOKS)}, got {said(look)}")
    return EncoderSizes(cameras, look, *numbers)


def load_images(folder: Path, actor: Actor, sizes: EncoderSizes, observation: str) -> ImageResidualPolicy:
    """The policy of `actor` and the encoder in `folder`, checked in its header and for NaN."""
    import torch

    path = folder / ENCODER_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"residual policy {folder} must hold {ENCODER_FILE}, since its observation is {observation}; it is missing"
        )
    weights = read_weights_file(path)
    with torch.device("meta"):  # a damaged size is named, and not allocated
        expected = _encoder(sizes)
    weights.require({name: tuple(p.shape) for name, p in expected.named_parameters()}, "a residual of such images")
    weights.require_finite()
    return ImageResidualPolicy(actor, safetensors.numpy.load_file(path), sizes.cameras, sizes.look, observation)


def _encoder(sizes: EncoderSizes) -> "Encoder":
    from ocrrl.residual.images.encoder import Encoder

    size = next(iter(sizes.cameras.values()))[0]
    return Encoder(len(sizes.cameras), size, sizes.channels, sizes.features)
