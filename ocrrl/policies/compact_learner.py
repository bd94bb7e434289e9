"""Fine-tuning of the default VLA: loss on a batch, saving."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ocrrl.datasets.frames.decoded_frames import DecodedDataset
from ocrrl.interface.cameras import NEXT_STEP, CameraSizes, described
from ocrrl.policies.chunk_batches import ChunkBatch
from ocrrl.policies.compact_architecture import CompactArchitecture, compact_sizes
from ocrrl.policies.compact_checkpoint import CompactCheckpoint, load_compact, save_compact
from ocrrl.policies.compact_network import CompactNetwork
from ocrrl.policies.language import InstructionEncoder
from ocrrl.policies.normalisation import EPSILON, Normalisation, centred_images
from ocrrl.policies.policy_type import COMPACT, policy_type


class CompactLearner:
    """A compact VLA being trained on one dataset."""

    def __init__(self, checkpoint: CompactCheckpoint, data: DecodedDataset, device: str):
        self._checkpoint = checkpoint
        self._device = device
        self.module = checkpoint.network.to(device).train()
        self.chunk_size = checkpoint.network.architecture.chunk_size
        embeddings = np.stack([checkpoint.encoder.embed(instruction) for instruction in data.tasks])
        self._embeddings = torch.from_numpy(embeddings).to(device)
        tensors = checkpoint.normalisation.tensors(device)
        self._state_mean, self._state_std, self._action_mean, self._action_std = tensors

    @classmethod
    def fresh(cls, data: DecodedDataset, policy: Mapping[str, Any], language: str, device: str) -> "CompactLearner":
        """An untrained VLA for `data`, weights from torch's generator; `policy` may set sizes of its architecture."""
        network = CompactNetwork(CompactArchitecture(_sizes(data), **compact_sizes(policy)))
        normalisation = Normalisation.of(data.state, data.action)
        return cls(CompactCheckpoint(network, normalisation, InstructionEncoder.choose(language)), data, device)

    @classmethod
    def continued(cls, data: DecodedDataset, init_from: Path, device: str) -> "CompactLearner":
        """The VLA of checkpoint `init_from`, its statistics and instruction encoder with it.

        Raises ValueError if it is of another type, or the dataset lacks its cameras.
        """
        if policy_type(init_from) != COMPACT:
            raise ValueError(
                f"policy.type must be {policy_type(init_from)} to continue from {init_from}, got {COMPACT}"
            )
        checkpoint = load_compact(init_from)
        architecture = checkpoint.network.architecture
        there = _sizes(data)
        if any(there.get(camera) != size for camera, size in architecture.cameras.items()):
            raise ValueError(
                f"the dataset must have images of {described(architecture.cameras)}, as {init_from} takes them, got "
                f"{described(there)}: {NEXT_STEP}"
            )
        return cls(checkpoint, data, device)

    def loss(self, batch: ChunkBatch) -> Float[Tensor, ""]:
        """Mean absolute error of the standardised actions that are within the episode."""
        images = {
            camera: centred_images(batch.images[camera], self._device) for camera in self.module.architecture.cameras
        }
        state, action, is_pad, episode = (
            torch.from_numpy(value).to(self._device)
            for value in (batch.state, batch.action, batch.is_pad, batch.episode)
        )
        state = (state - self._state_mean) / (self._state_std + EPSILON)
        target = (action - self._action_mean) / (self._action_std + EPSILON)
        return masked_l1(self.module(images, state, self._embeddings[episode]), target, is_pad)

    def save(self, folder: Path) -> None:
        """Write the checkpoint in LeRobot's layout."""
        save_compact(folder, self._checkpoint)


def masked_l1(
    predicted: Float[Tensor, "B H 7"], target: Float[Tensor, "B H 7"], is_pad: Bool[Tensor, "B H"]
) -> Float[Tensor, ""]:
    """Mean absolute error over the entries that are not padding."""
    within = ~is_pad[..., None]
    return ((predicted - target).abs() * within).sum() / (within.sum() * target.shape[-1]).clamp(min=1)


def _sizes(data: DecodedDataset) -> CameraSizes:
    return {camera: (frames.shape[1], frames.shape[2]) for camera, frames in data.images.items()}
