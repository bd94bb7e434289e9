"""What LeRobot does between environment and policy, so that a policy gives the bits that it gives in `policies.lerobot_vla`."""

import torch
from lerobot.processor import ObservationProcessorStep, PolicyActionProcessorStep
from torch import Tensor

from ocrrl.interface.actions import limit
from ocrrl.interface.lerobot_keys import IMAGE_PREFIX


class ChannelsLastImages(ObservationProcessorStep):
    """Images (N, 3, height, width) stored channels last, as `policies.normalisation.unit_images` stores them.

    The layout decides the last bits of a convolution's result, and on a CPU channels first is slower.
    """

    def observation(self, observation: dict[str, Tensor]) -> dict[str, Tensor]:
        return {
            name: value.contiguous(memory_format=torch.channels_last) if name.startswith(IMAGE_PREFIX) else value
            for name, value in observation.items()
        }

    def transform_features(self, features):
        return features


class LimitedActions(PolicyActionProcessorStep):
    """Actions (N, 7) within the step limits, as `LeRobotVLA` has them; float32, as NumPy lacks the bfloat16 of `use_amp` on a CPU."""

    def action(self, action: Tensor) -> Tensor:
        return limit(action.to(torch.float32))

    def transform_features(self, features):
        return features
