"""Images as networks take them: floats, channels first but stored channels last, which is fast on a CPU."""

import numpy as np
import torch
from jaxtyping import Float, UInt8


def centred(images: UInt8[np.ndarray, "n height width 3"], device: str) -> Float[torch.Tensor, "n 3 height width"]:
    """In [-0.5, 0.5] on `device`, for the compact network."""
    return (torch.from_numpy(images).to(device).permute(0, 3, 1, 2) - 127.5).mul_(1.0 / 255.0)


def unit(images: UInt8[np.ndarray, "n height width 3"]) -> Float[torch.Tensor, "n 3 height width"]:
    """In [0, 1], as LeRobot's datasets give them to a policy's preprocessor."""
    return torch.from_numpy(images).permute(0, 3, 1, 2) / 255.0
