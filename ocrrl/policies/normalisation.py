"""Inputs as networks take them: images as floats; state and actions standardised, (x - mean) / std per dimension.

Statistics travel in the checkpoint.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8

from ocrrl.interface.actions import ACTION_HIGH

EPSILON = 1e-8  # LeRobot's normaliser divides by std + eps; the same here, so that both loaders agree to the bit

ACTION_STD_FLOOR = 0.05 * ACTION_HIGH
"""Least action deviation: dimensions that hold only tremor would otherwise count as much in the loss as the motion."""

STATE_STD_FLOOR = np.array([0.01] * 3 + [0.02] * 4 + [0.005], np.float32)
"""Least deviation of proprioception: position [m], quaternion, gripper width [m]."""


@dataclass(frozen=True)
class Normalisation:
    """Statistics of a training set, float32, deviations no smaller than the floors above."""

    state_mean: Float[np.ndarray, "8"]
    state_std: Float[np.ndarray, "8"]
    action_mean: Float[np.ndarray, "7"]
    action_std: Float[np.ndarray, "7"]

    @classmethod
    def of(cls, state: Float[np.ndarray, "F 8"], action: Float[np.ndarray, "F 7"]) -> "Normalisation":
        """The statistics of all frames."""
        return cls(
            state_mean=state.mean(0, dtype=np.float64).astype(np.float32),
            state_std=floored(state.std(0, dtype=np.float64), STATE_STD_FLOOR),
            action_mean=action.mean(0, dtype=np.float64).astype(np.float32),
            action_std=floored(action.std(0, dtype=np.float64), ACTION_STD_FLOOR),
        )

    def tensors(self, device: str) -> tuple[torch.Tensor, ...]:
        """Mean and deviation of the state, mean and deviation of the action, on `device`."""
        values = (self.state_mean, self.state_std, self.action_mean, self.action_std)
        return tuple(torch.from_numpy(value).to(device) for value in values)


def floored(std: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """`std` raised to `floor` where it is less; as it is where the shapes differ (another robot's state)."""
    std = np.asarray(std, np.float32)
    return np.maximum(std, floor) if std.shape == floor.shape else std


def centred_images(
    images: UInt8[np.ndarray, "n height width 3"], device: str
) -> Float[torch.Tensor, "n 3 height width"]:
    """In [-0.5, 0.5] on `device`, for the compact network: channels first, but stored channels last, which is fast on a CPU."""
    return (torch.from_numpy(images).to(device).permute(0, 3, 1, 2) - 127.5).mul_(1.0 / 255.0)


def unit_images(images: UInt8[np.ndarray, "n height width 3"]) -> Float[torch.Tensor, "n 3 height width"]:
    """In [0, 1], stored likewise, as LeRobot's datasets give them to a policy's preprocessor."""
    return torch.from_numpy(images).permute(0, 3, 1, 2) / 255.0
