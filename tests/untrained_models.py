"""A VLA and a residual for Cube Lift that never learned anything, where the commands look for them."""

import numpy as np
import torch

from ocrrl.interface.cameras import CameraSizes
from ocrrl.interface.observations import residual_observation_dim
from ocrrl.interface.residual_observations import robot_observation_dim
from ocrrl.layout import Layout
from ocrrl.policies.compact_architecture import CompactArchitecture
from ocrrl.policies.compact_checkpoint import CompactCheckpoint, save_compact
from ocrrl.policies.compact_network import CompactNetwork
from ocrrl.policies.language import HASH, InstructionEncoder
from ocrrl.policies.normalisation import Normalisation
from ocrrl.residual.images.encoder import Encoder
from ocrrl.residual.images.image_policy import ImageResidualPolicy
from ocrrl.residual.residual_policy import ResidualPolicy, save_residual
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT


def write_untrained_models(layout: Layout) -> None:
    """The real VLA and residual 0 of `layout`, under the working folder."""
    torch.manual_seed(0)
    random, encoder = np.random.default_rng(0), InstructionEncoder(HASH)
    encoder.embed(CUBE_LIFT.instruction)
    network = CompactNetwork(CompactArchitecture({"front": (64, 64), "wrist": (64, 64)}, chunk_size=4))
    state, action = random.normal(size=(20, 8)), 0.01 * random.normal(size=(20, 7))
    normalisation = Normalisation.of(state.astype(np.float32), action.astype(np.float32))
    save_compact(layout.vla("real"), CompactCheckpoint(network, normalisation, encoder))
    save_residual(layout.residual(0), _actor(residual_observation_dim(CUBE_LIFT), random), CUBE_LIFT, {})


def write_untrained_image_residual(layout: Layout, cameras: CameraSizes) -> None:
    """Residual 0 of `layout` once more, as one of images of one size."""
    encoder = Encoder(len(cameras), next(iter(cameras.values()))[0], channels=4, features=8)
    tensors = {name: parameter.detach().numpy() for name, parameter in encoder.named_parameters()}
    actor = _actor(8 + robot_observation_dim(), np.random.default_rng(0))
    save_residual(layout.residual(0), ImageResidualPolicy(actor, tensors, cameras, "plain", "images"), CUBE_LIFT, {})


def _actor(inputs: int, random: np.random.Generator) -> ResidualPolicy:
    sizes = (inputs, 8, 8, 7)
    weights = {f"weight{i}": random.standard_normal(sizes[i : i + 2]).astype(np.float32) for i in range(3)}
    weights |= {f"bias{i}": np.zeros(sizes[i + 1], np.float32) for i in range(3)}
    return ResidualPolicy(weights, np.full(7, 0.005), True)
