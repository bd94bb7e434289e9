"""The default VLA behind LeRobot's policy interface; the network itself is `ocrrl.policies.compact_network`."""

from collections import deque

import torch
import torch.nn.functional as F
from jaxtyping import Float
from lerobot.policies.pretrained import PreTrainedPolicy
from torch import Tensor

from ocrrl.interface.lerobot_keys import ACTION_KEY, IMAGE_PREFIX, STATE_KEY
from ocrrl.policies.compact_learner import masked_l1
from ocrrl.policies.compact_network import CompactNetwork
from ocrrl.policies.compact_vla.configuration_compact_vla import CompactVLAConfig
from ocrrl.policies.compact_vla.processor_compact_vla import INSTRUCTION_KEY
from ocrrl.policies.policy_type import COMPACT


class CompactVLAPolicy(PreTrainedPolicy):
    """Takes LeRobot's batches after the preprocessor: images in [0, 1], standardised rows, instruction embeddings."""

    config_class = CompactVLAConfig  # pyright: ignore[reportAssignmentType]
    name = COMPACT  # pyright: ignore[reportAssignmentType]
    config: CompactVLAConfig

    def __init__(self, config: CompactVLAConfig, **kwargs):
        super().__init__(config)
        config.validate_features()
        self.model = CompactNetwork(config.architecture())
        self.reset()

    def get_optim_params(self):
        return self.parameters()

    def reset(self) -> None:
        self._queue: deque[Tensor] = deque(maxlen=self.config.n_action_steps)

    def forward(self, batch: dict[str, Tensor]) -> tuple[Float[Tensor, ""], dict[str, float]]:
        """Mean absolute error of the standardised chunk, padding left out."""
        loss = masked_l1(self._predict(batch), batch[ACTION_KEY], batch["action_is_pad"])
        return loss, {"l1_loss": loss.item()}

    @torch.no_grad()
    def predict_action_chunk(self, batch: dict[str, Tensor], **kwargs) -> Float[Tensor, "B H 7"]:
        """The next H standardised actions."""
        self.eval()
        return self._predict(batch)

    @torch.no_grad()
    def select_action(self, batch: dict[str, Tensor], **kwargs) -> Float[Tensor, "B 7"]:
        """The next standardised action; the network is asked every `n_action_steps` calls."""
        if not self._queue:
            self._queue.extend(self.predict_action_chunk(batch)[:, : self.config.n_action_steps].transpose(0, 1))
        return self._queue.popleft()

    def _predict(self, batch: dict[str, Tensor]) -> Tensor:
        images = {camera: self._image(batch, camera) for camera in self.model.architecture.cameras}
        if self.training and self.config.image_shift:
            images = {camera: _randomly_shifted(image, self.config.image_shift) for camera, image in images.items()}
        return self.model(images, batch[STATE_KEY], batch[INSTRUCTION_KEY])

    def _image(self, batch: dict[str, Tensor], camera: str) -> Float[Tensor, "B 3 height width"]:
        """In [-0.5, 0.5], bit for bit as `normalisation.centred_images` has it; ValueError for a camera or size that is another."""
        key, size = IMAGE_PREFIX + camera, self.model.architecture.cameras[camera]
        if key not in batch or tuple(batch[key].shape[2:]) != size:
            got = f"{tuple(batch[key].shape)}" if key in batch else "none"
            raise ValueError(
                f"{key} must have shape (batch, 3, {size[0]}, {size[1]}), as this compact_vla was trained on, got {got}"
            )
        return (batch[key] * 255.0 - 127.5) * (1.0 / 255.0)


def _randomly_shifted(images: Float[Tensor, "B 3 height width"], most: int) -> Float[Tensor, "B 3 height width"]:
    height, width = images.shape[2:]
    padded = F.pad(images, (most,) * 4, mode="replicate")
    offsets = torch.randint(2 * most + 1, (len(images), 2)).tolist()
    return torch.stack([padded[i, :, y : y + height, x : x + width] for i, (y, x) in enumerate(offsets)])
