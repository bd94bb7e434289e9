"""Critics for the gate, learned beside TD3 on its batches and without an effect on it.

    target_i = R + gamma^k Q_i'(s', a')    with TD3's own a' = a_base' ⊕ (pi'(s') + noise)

Each has a target of its own, since critics that share one agree on what none of them knows (Ghasemipour et al. 2022). They take a step
with every `policy_delay`-th update of TD3. Legend: B samples, I inputs of a critic, E critics.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ocrrl.residual.networks import Network, learned, parameter_count
from ocrrl.residual.residual_config import ResidualConfig

_SEED = 2**32  # added to the training's: TD3's networks and these are not drawn alike


class CriticEnsemble:
    """E critics with their targets and one optimiser."""

    def __init__(self, inputs: int, count: int, config: ResidualConfig, seed: int, device: torch.device) -> None:
        self._config = config
        size = (inputs, config.critic_hidden, 1)
        self._flat, gradient, self._adam = learned(count * parameter_count(*size), config.critic_lr, device)
        self._target = torch.empty_like(self._flat)

        def networks(flat: Tensor) -> list[Network]:
            parts = zip(flat.chunk(count), gradient.chunk(count), strict=True)
            return [Network(*size, config.layer_norm, *part) for part in parts]

        self._critics, self._targets = networks(self._flat), networks(self._target)
        generator = torch.Generator().manual_seed(seed + _SEED)
        for critic in self._critics:
            critic.initialise(generator)
        self._target.copy_(self._flat)

    def update(
        self,
        state_action: Float[Tensor, "B I"],
        next_state_action: Float[Tensor, "B I"],
        reward: Float[Tensor, "B 1"],
        discount: Float[Tensor, "B 1"],
    ) -> None:
        """One step of every critic towards its own target, by mean squared error."""
        for critic, follower in zip(self._critics, self._targets, strict=True):
            target = torch.addcmul(reward, discount, follower.forward(next_state_action))
            if self._config.clip_targets:
                target.clamp_(-self._config.shaping_weight, self._config.max_value)
            error = critic.forward(state_action, remember=True) - target
            critic.backward(error * (2.0 / len(state_action)))
        self._adam.step()
        self._target.lerp_(self._flat, self._config.tau)

    def weights(self) -> dict[str, np.ndarray]:
        """A copy of the targets' weights, which change more slowly: weight0..2 (E, inputs, outputs), bias0..2 (E, outputs)."""
        names = [f"{kind}{layer}" for layer in range(3) for kind in ("weight", "bias")]
        columns = zip(*(target.parameters for target in self._targets), strict=True)
        return {name: torch.stack(column).cpu().numpy() for name, column in zip(names, columns, strict=True)}

    def vectors(self) -> dict[str, Tensor]:
        """All that an update changes, for a checkpoint."""
        (moments,) = self._adam.state.values()
        adam = {f"gate_adam.{key}": moments[key] for key in ("step", "exp_avg", "exp_avg_sq")}
        return {"gate_critics": self._flat, "gate_critics_target": self._target, **adam}
