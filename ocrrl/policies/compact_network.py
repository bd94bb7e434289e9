"""The default VLA's network: small pictures, proprioception and an instruction embedding to a chunk of actions.

Per camera three stride-2 convolutions, the second modulated by the instruction (FiLM); spatial softmax reads where
things are, at two scales. Keypoints alone generalise better from 30 demonstrations than flattened maps do, with half
the parameters. Trained from scratch on a CPU in a minute or two.
Legend: B batch, C cameras, H actions in a chunk.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ocrrl.interface.actions import ACTION_DIM
from ocrrl.interface.observations import PROPRIOCEPTION_DIM
from ocrrl.policies.language import EMBEDDING_DIM

_STATE_LIMIT = 5.0  # standard deviations; beyond, proprioception tells a network nothing it was trained on


@dataclass(frozen=True)
class CompactArchitecture:
    """What a compact VLA is built from; `image_size` is height and width in pixels, the same for all cameras."""

    cameras: tuple[str, ...]
    image_size: tuple[int, int]
    chunk_size: int = 16
    channels: int = 16
    keypoints: int = 24
    camera_features: int = 96
    hidden: int = 256

    def __post_init__(self):
        if not self.cameras:
            raise ValueError("compact_vla.cameras must name at least one camera, got none")
        object.__setattr__(self, "cameras", tuple(sorted(self.cameras)))  # files do not keep an order
        if any(size < 16 or size % 8 for size in self.image_size):
            raise ValueError(
                f"compact_vla image height and width must be multiples of 8 from 16 up, got {self.image_size}"
            )
        for name in ("chunk_size", "channels", "keypoints", "camera_features", "hidden"):
            if getattr(self, name) < 1:
                raise ValueError(f"compact_vla.{name} must be at least 1, got {getattr(self, name)}")


class CompactNetwork(nn.Module):
    """Standardised inputs in, standardised actions out."""

    def __init__(self, architecture: CompactArchitecture):
        super().__init__()
        self.architecture = architecture
        self.encoders = nn.ModuleDict({camera: CameraEncoder(architecture) for camera in architecture.cameras})
        self.state = nn.Linear(PROPRIOCEPTION_DIM, 64)
        self.instruction = nn.Linear(EMBEDDING_DIM, 32)
        self.trunk = nn.Sequential(
            nn.Linear(len(architecture.cameras) * architecture.camera_features + 96, architecture.hidden),
            nn.ReLU(),
            nn.Linear(architecture.hidden, architecture.hidden),
            nn.ReLU(),
            nn.Linear(architecture.hidden, architecture.chunk_size * ACTION_DIM),
        )

    def forward(
        self,
        images: dict[str, Float[Tensor, "B 3 height width"]],
        state: Float[Tensor, "B 8"],
        instruction: Float[Tensor, "B 384"],
    ) -> Float[Tensor, "B H 7"]:
        """Images in [0, 1], standardised proprioception, unit instruction embeddings."""
        features = [encoder(images[camera], instruction) for camera, encoder in self.encoders.items()]
        features.append(F.relu(self.state(state.clamp(-_STATE_LIMIT, _STATE_LIMIT))))
        features.append(F.relu(self.instruction(instruction)))
        return self.trunk(torch.cat(features, dim=1)).unflatten(1, (-1, ACTION_DIM))


class CameraEncoder(nn.Module):
    """One camera's picture (B, 3, height, width) to features (B, camera_features)."""

    def __init__(self, architecture: CompactArchitecture):
        super().__init__()
        width, keypoints = architecture.channels, architecture.keypoints
        self.edges = nn.Conv2d(3, width, 4, stride=2, padding=1)
        self.parts = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.objects = nn.Conv2d(2 * width, 3 * width, 3, stride=2, padding=1)
        self.film = nn.Linear(EMBEDDING_DIM, 4 * width)
        self.part_maps = nn.Conv2d(2 * width, keypoints, 1)
        self.object_maps = nn.Conv2d(3 * width, keypoints, 1)
        self.features = nn.Linear(4 * keypoints, architecture.camera_features)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, image: Tensor, instruction: Tensor) -> Tensor:
        # Everything stays channels-last: a change of layout between layers costs two copies a step.
        x = (image - 0.5).contiguous(memory_format=torch.channels_last)
        x = self.parts(F.relu(self.edges(x)))
        scale, shift = self.film(instruction)[:, :, None, None].chunk(2, dim=1)
        parts = F.relu(x * (1.0 + scale) + shift)
        objects = F.relu(self.objects(parts))
        points = [spatial_softmax(self.part_maps(parts)), spatial_softmax(self.object_maps(objects))]
        return F.relu(self.features(torch.cat(points, dim=1)))


def spatial_softmax(maps: Float[Tensor, "B K height width"]) -> Float[Tensor, "B 2K"]:
    """Expected x and y in [-1, 1] under each map's softmax: K keypoints (Levine et al. 2016, arXiv 1504.00702)."""
    height, width = maps.shape[2:]
    y = torch.linspace(-1.0, 1.0, height, device=maps.device).repeat_interleave(width)
    x = torch.linspace(-1.0, 1.0, width, device=maps.device).repeat(height)
    weights = maps.permute(0, 2, 3, 1).flatten(1, 2).softmax(1)
    return torch.matmul(weights.transpose(1, 2), torch.stack([x, y], dim=1)).flatten(1)
