"""Inference with the default VLA."""

import numpy as np
import torch
from jaxtyping import Float

from ocrrl.interface.actions import limit
from ocrrl.interface.observations import Images, RobotState
from ocrrl.policies.compact_checkpoint import CompactCheckpoint
from ocrrl.policies.normalisation import EPSILON, centred_images


class CompactVLA:
    """`interface.protocols.VLA` by a compact network."""

    def __init__(self, checkpoint: CompactCheckpoint, device: str = "cpu"):
        self.architecture = checkpoint.network.architecture
        self.chunk_size = self.architecture.chunk_size
        self.n_action_steps = self.architecture.n_action_steps or self.chunk_size
        self.network = checkpoint.network.eval().to(device)
        self.encoder = checkpoint.encoder
        self.device = device
        tensors = checkpoint.normalisation.tensors(device)
        self._state_mean, self._state_std, self._action_mean, self._action_std = tensors

    def predict_chunk(self, images: Images, robot: RobotState, instruction: str) -> Float[np.ndarray, "n H 7"]:
        """The next H actions for each of n robots, float32, within the step limits.

        Raises ValueError if a camera is missing or its images have another size than the VLA was trained on.
        """
        taken = {camera: self._image(images, camera) for camera in self.architecture.cameras}
        embedding = torch.from_numpy(self.encoder.embed(instruction)).to(self.device)
        state = torch.from_numpy(robot.proprioception()).to(self.device)
        with torch.inference_mode():
            state = (state - self._state_mean) / (self._state_std + EPSILON)
            chunk = self.network(taken, state, embedding.expand(len(state), -1))
            return limit(chunk * self._action_std + self._action_mean).cpu().numpy()

    def _image(self, images: Images, camera: str) -> torch.Tensor:
        if camera not in images:
            raise ValueError(
                f"images must hold the cameras {', '.join(self.architecture.cameras)}, got {', '.join(images)}"
            )
        shape = (*self.architecture.cameras[camera], 3)
        if images[camera].shape[1:] != shape:
            raise ValueError(f"images of camera {camera} must have shape (n, *{shape}), got {images[camera].shape}")
        return centred_images(images[camera], self.device)
