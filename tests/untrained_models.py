"""A VLA and a residual for Cube Lift that never learned anything, where the commands look for them."""

import numpy as np
import torch

from ocrrl.interface.observations import residual_observation_dim
from ocrrl.layout import Layout
from ocrrl.policies.compact_checkpoint import CompactCheckpoint, save_compact
from ocrrl.policies.compact_network import CompactArchitecture, CompactNetwork
from ocrrl.policies.language import HASH, InstructionEncoder
from ocrrl.policies.normalisation import Normalisation
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
    sizes = (residual_observation_dim(CUBE_LIFT), 8, 8, 7)
    weights = {f"weight{i}": random.standard_normal(sizes[i : i + 2]).astype(np.float32) for i in range(3)}
    weights |= {f"bias{i}": np.zeros(sizes[i + 1], np.float32) for i in range(3)}
    save_residual(layout.residual(0), ResidualPolicy(weights, np.full(7, 0.005), True), CUBE_LIFT, {})
