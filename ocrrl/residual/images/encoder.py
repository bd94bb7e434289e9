"""Encoder of a residual's images: two convolutions a camera, read where things are and how the scene looks.

Spatial softmax (Levine et al., arXiv 1504.00702) at both scales gives positions, a few channels of the coarse map, flattened, the
rest; then a linear layer, LayerNorm and tanh as in DrQ-v2 (Yarats et al. 2021). Convolutions run in bfloat16, which halves their
time on CPUs with AVX512-BF16 (docs/results.md).
Legend: B samples, C cameras, H and W height and width [pixel], F features.
"""

from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

KEYPOINTS = 16  # at each scale
SCENE_CHANNELS = 8


class Encoder(nn.Module):
    """Frames (B, C, H, W, 3) uint8 to features (B, F) in [-1, 1]."""

    def __init__(self, cameras: int, size: int, channels: int, features: int) -> None:
        super().__init__()
        self.cameras = nn.ModuleList(CameraEncoder(size, channels) for _ in range(cameras))
        self.project = nn.Linear(cameras * CameraEncoder.outputs(size), features)
        self.norm = nn.LayerNorm(features)

    def forward(self, frames: UInt8[Tensor, "B C H W 3"]) -> Float[Tensor, "B F"]:
        with torch.autocast(frames.device.type, torch.bfloat16):
            images = (camera.permute(0, 3, 1, 2) for camera in frames.unbind(1))
            seen = [camera(image) for camera, image in zip(self.cameras, images, strict=True)]
            projected = self.project(torch.cat(seen, dim=1))
        return torch.tanh(self.norm(projected.float()))


class CameraEncoder(nn.Module):
    """Images (B, 3, H, W) of one camera to features (B, `outputs`)."""

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.parts = nn.Conv2d(3, channels, 6, stride=4, padding=1)
        self.objects = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)
        self.part_maps = nn.Conv2d(channels, KEYPOINTS, 1)
        self.object_maps = nn.Conv2d(2 * channels, KEYPOINTS, 1)
        self.scene = nn.Conv2d(2 * channels, SCENE_CHANNELS, 1)

    @staticmethod
    def outputs(size: int) -> int:
        """How many features images of `size` x `size` give."""
        coarse = (size // 4 + 1) // 2
        return 4 * KEYPOINTS + SCENE_CHANNELS * coarse**2

    def forward(self, image: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B features"]:
        # Grey levels are as exact in bfloat16; to bring them to [-0.5, 0.5] costs as much as a convolution, unless its weights do it.
        grey = image.to(torch.bfloat16, memory_format=torch.channels_last)
        weight, bias = self.parts.weight, cast(Tensor, self.parts.bias)
        parts = F.relu(F.conv2d(grey, weight / 255.0, bias - 0.5 * weight.sum((1, 2, 3)), stride=4, padding=1))
        objects = F.relu(self.objects(parts))
        scene = F.relu(self.scene(objects)).flatten(1)
        return torch.cat([keypoints(self.part_maps(parts)), keypoints(self.object_maps(objects)), scene], dim=1)


def keypoints(maps: Float[Tensor, "B K h w"]) -> Float[Tensor, "B points"]:
    """The mean position under the softmax of each map, in float32: all x in [-1, 1], then all y."""
    share = maps.float().flatten(2).softmax(-1).unflatten(2, maps.shape[2:])
    x, y = (torch.linspace(-1.0, 1.0, n, device=maps.device) for n in (maps.shape[3], maps.shape[2]))
    return torch.cat([(share.sum(2) * x).sum(-1), (share.sum(3) * y).sum(-1)], dim=1)
