"""TD3 (Fujimoto et al. 2018) on residuals: the actor outputs a residual, the critics evaluate the combined action.

Legend: B samples, D length of the residual observation; Q values are discounted sums of rewards in [0, 1].
Differences from the original: the actor's output is composed with the base action (Eq. 7), n-step targets, targets kept
in the range of returns, an L2 term on the residual, an optional behaviour-cloning term; see `ResidualConfig`.
Gradients are written out (see `networks`): a loss appears as its derivative with respect to a network's output.
"""

import ctypes
import sys
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ocrrl.interface.actions import ACTION_DIM, compose
from ocrrl.interface.devices import chosen_device
from ocrrl.interface.observations import ACTION_FEATURES, action_features
from ocrrl.residual.composition_gradient import composition_gradient
from ocrrl.residual.cuda_graph_update import CudaGraphUpdate, Parts, Seen, Update
from ocrrl.residual.networks import Network, learned, parameter_count
from ocrrl.residual.residual_config import ACTION_UNITS, ResidualConfig, in_action_units, per_dimension
from ocrrl.residual.restraint.critic_ensemble import CriticEnsemble
from ocrrl.residual.restraint.critic_gate import PREFIX
from ocrrl.residual.transitions import TransitionRow

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # mallopt(3)
_KEPT_BYTES = 1 << 30


FINAL_ACTOR_GAIN = 0.01  # the first residuals are about a hundredth of the scale


@dataclass(frozen=True)
class UpdateStatistics:
    """What the last update saw, for the learning curve."""

    q: float
    critic_loss: float
    residual_magnitude: float
    """Mean |residual / scale| over samples and components, in [0, 1]."""


class TD3:
    """Actor, twin critics, their targets and optimisers; `update` takes one batch of `TransitionRow`s."""

    def __init__(self, observation_dim: int, config: ResidualConfig, seed: int, observation_gradient: int = 0) -> None:
        """`observation_gradient`: so many first columns of the observation come from an encoder that wants the critics' gradient."""
        self.config = config
        self.layout = TransitionRow(observation_dim)
        self.device = torch.device(chosen_device(config.device))
        self.updates, self._averaged_from = 0, config.critic_warmup
        self._generator = torch.Generator(self.device).manual_seed(seed)
        self._scale = torch.from_numpy(in_action_units(config.residual_scale)).to(self.device)
        self._critic_units = torch.from_numpy(per_dimension(config.residual_scale)).to(self.device)
        self._units = torch.from_numpy(ACTION_UNITS).to(self.device)
        self._last = (torch.zeros(1), torch.zeros(1), torch.zeros(1))  # targets, errors, u of the last update
        self.observation_gradient = torch.zeros(0, observation_gradient)
        """Of the last update's critic loss with respect to those columns of the batch (B, columns)."""
        self.followed = Parts(0, actor=False, targets=False)
        """What the last update consisted of."""
        self._run: Update = self._update
        if self.device.type == "cuda" and not observation_gradient:
            self._run = CudaGraphUpdate(self._update, self._generator, self.device)

        sizes = {
            "actor": (observation_dim, config.actor_hidden, ACTION_DIM),
            "critic": (observation_dim + ACTION_FEATURES, config.critic_hidden, 1),
        }
        actor_count, critic_count = (parameter_count(*size) for size in sizes.values())
        self._actor, actor_gradient, self._actor_adam = learned(actor_count, config.actor_lr, self.device)
        self._critics, critics_gradient, self._critics_adam = learned(2 * critic_count, config.critic_lr, self.device)
        self._actor_target, self._critics_target = torch.empty_like(self._actor), torch.empty_like(self._critics)
        self._actor_average = torch.empty_like(self._actor)

        def network(kind: str, flat: Tensor, gradient: Tensor) -> Network:
            return Network(*sizes[kind], config.layer_norm, flat, gradient)

        def pair(flat: Tensor) -> list[Network]:
            return [network("critic", *halves) for halves in zip(flat.chunk(2), critics_gradient.chunk(2), strict=True)]

        self.actor, self.actor_target, self.actor_average = (
            network("actor", flat, actor_gradient) for flat in (self._actor, self._actor_target, self._actor_average)
        )
        self.critics, self.critics_target = pair(self._critics), pair(self._critics_target)
        initial = torch.Generator().manual_seed(seed)
        self.actor.initialise(initial, FINAL_ACTOR_GAIN)
        for critic in self.critics:
            critic.initialise(initial)
        self._actor_target.copy_(self._actor)
        self._actor_average.copy_(self._actor)
        self._critics_target.copy_(self._critics)
        self._gate_critics = (
            CriticEnsemble(sizes["critic"][0], config.gate.critics, config, seed, self.device) if config.gate else None
        )

    @property
    def gradient_steps(self) -> int:
        """Updates after each step of all environments."""
        return self.config.gradient_steps

    @torch.inference_mode()
    def update(self, batch: Float[Tensor, "B width"], offline_count: int = 0) -> None:
        """One TD3 update; the first `offline_count` rows of `batch` are demonstrations.

        On a GPU it returns before the update is over. `batch` may lie in the host's memory, and if that is pinned, it may
        be written to again once the GPU has come so far.
        """
        self.updates += 1
        delayed = self.updates % self.config.policy_delay == 0
        self.followed = parts = Parts(
            offline_count, actor=delayed and self.updates > self.config.critic_warmup, targets=delayed
        )
        target, error, u = self._run(batch, parts)
        self._last = (target, error, self._last[2] if u is None else u)
        if parts.actor:
            self._average_actor()

    def _update(self, batch: Tensor, parts: Parts) -> Seen:
        next_state_action = self._next_state_action(batch)
        target = self._target(batch, next_state_action)

        # Clipped double Q-learning: both critics regress to the same target, by mean squared error.
        state_action = self.critic_input(
            self.layout.observation(batch), self.layout.action(batch), self.layout.base_action(batch)
        )
        gradients, columns = [], self.observation_gradient.shape[1]
        for critic in self.critics:
            error = critic.forward(state_action, remember=True) - target
            critic.backward(error * (2.0 / len(batch)))
            if columns:
                gradients.append(critic.input_gradient(error * (2.0 / len(batch)), first=0)[:, :columns])
        if columns:
            self.observation_gradient = gradients[0] + gradients[1]
        self._critics_adam.step()

        # Delayed policy updates.
        u = None
        if parts.actor:
            u = self._update_actor(batch, parts.offline_count)
            self._actor_target.lerp_(self._actor, self.config.tau)
        if parts.targets:
            self._critics_target.lerp_(self._critics, self.config.tau)
            if self._gate_critics is not None:
                reward, discount = self.layout.reward(batch), self.layout.discount(batch)
                self._gate_critics.update(state_action, next_state_action, reward, discount)
        return target, error, u

    def _next_state_action(self, batch: Tensor) -> Float[Tensor, "B I"]:
        """The critics' input of s' and a_base' ⊕ (pi'(s') + noise)."""
        next_observation = self.layout.next_observation(batch)
        noise = torch.empty((len(batch), ACTION_DIM), device=self.device).normal_(generator=self._generator)
        noise.mul_(self.config.target_noise).clamp_(-self.config.target_noise_clip, self.config.target_noise_clip)
        residual = torch.tanh(self.actor_target.forward(next_observation)).add_(noise).clamp_(-1.0, 1.0)
        next_base_action = self.layout.next_base_action(batch)
        action = compose(next_base_action, residual.mul_(self._scale))
        return self.critic_input(next_observation, _features(action), next_base_action)

    def _target(self, batch: Tensor, next_state_action: Float[Tensor, "B I"]) -> Float[Tensor, "B 1"]:
        """R + gamma^k min_i Q_i'(s', a_base' ⊕ (pi'(s') + noise))."""
        value = torch.minimum(*(critic.forward(next_state_action) for critic in self.critics_target))
        target = torch.addcmul(self.layout.reward(batch), self.layout.discount(batch), value)
        if self.config.clip_targets:
            target.clamp_(-self.config.shaping_weight, self.config.max_value)
        return target

    def _update_actor(self, batch: Tensor, offline_count: int) -> Float[Tensor, "B 7"]:
        """Adam down mean(-Q1(s, a) + l2 |u|^2) + bc_coef mean |f(a) - f(a_demo)|^2 over the demonstrations.

        u = tanh(network(s)) is the residual in units of its scale, a = a_base ⊕ scale u, f its `action_features`. Returns u.
        """
        observation, base_action = self.layout.observation(batch), self.layout.base_action(batch)
        u = torch.tanh(self.actor.forward(observation, remember=True))
        residual = u * self._scale
        features = _features(compose(base_action, residual))
        self.critics[0].forward(self.critic_input(observation, features, base_action), remember=True)

        minus_one = torch.full((len(batch), 1), -1.0 / len(batch), device=self.device)
        grad = self.critics[0].input_gradient(minus_one, first=observation.shape[1])
        grad.div_(self._critic_units)  # d loss / d features
        if self.config.bc_coef and offline_count:
            error = features[:offline_count] - self.layout.action(batch[:offline_count])
            grad[:offline_count].add_(error, alpha=2.0 * self.config.bc_coef / offline_count)
        grad = composition_gradient(base_action, residual, grad / self._units) * self._scale  # d loss / d u
        grad.add_(u, alpha=2.0 * self.config.l2 / len(batch))
        self.actor.backward(grad * (1.0 - u * u))
        self._actor_adam.step()
        return u

    def _average_actor(self) -> None:
        """The mean of all actors so far until it is as slow as `actor_ema`, which it follows them by from then on."""
        self._actor_average.lerp_(self._actor, self.average_share)

    def restart_average(self) -> None:
        """Average the actors from now on: what the ones before were given was something else."""
        self._averaged_from = max(self.updates, self.config.critic_warmup)
        self._actor_average.copy_(self._actor)

    @property
    def average_share(self) -> float:
        """How far the average moves to the actor at an update of the actor."""
        updates = -(-(self.updates - self._averaged_from) // self.config.policy_delay)  # of the actor, so far
        return max(self.config.actor_ema, 1.0 / updates)

    def critic_input(
        self, observation: Float[Tensor, "B D"], features: Float[Tensor, "B 7"], base_action: Float[Tensor, "B 7"]
    ) -> Float[Tensor, "B D+7"]:
        """The critics' input: s, and how the combined action differs from the base action in s, in units of the bound.

        The same information as the combined action, whose values follow the base action's closely; here what the residual
        did stands by itself, and as large as the rest of the input.
        """
        return torch.cat([observation, (features - _features(base_action)) / self._critic_units], dim=1)

    @torch.inference_mode()
    def residual(self, observation: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "n 7"]:
        """The actor's residuals in the action's units."""
        return (
            (torch.tanh(self.actor.forward(torch.from_numpy(observation).to(self.device))) * self._scale).cpu().numpy()
        )

    def statistics(self) -> UpdateStatistics:
        """What the last update saw."""
        target, error, u = self._last
        return UpdateStatistics(float(target.mean()), float(error.square().mean()), float(u.abs().mean()))

    def actor_weights(self) -> dict[str, np.ndarray]:
        """A copy of the averaged actor's weights (inputs, outputs) and biases, layer by layer; of the gate's critics, if any."""
        critics = {} if self._gate_critics is None else self._gate_critics.weights()
        return named_layers(self.actor_average.parameters) | {PREFIX + n: value for n, value in critics.items()}

    def get_state(self) -> dict[str, np.ndarray]:
        """Networks, optimisers, noise generator and counter, for a checkpoint."""
        state = {name: vector.detach().cpu().numpy().copy() for name, vector in self._vectors().items()}
        return state | {
            "updates": np.array(self.updates),
            "averaged_from": np.array(self._averaged_from),
            "generator": self._generator.get_state().numpy().copy(),
            **{f"last{i}": value.cpu().numpy().copy() for i, value in enumerate(self._last)},
        }

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from `get_state` of a learner with the same config."""
        self.updates, self._averaged_from = int(state["updates"]), int(state["averaged_from"])
        self._generator.set_state(torch.from_numpy(state["generator"].copy()))
        for name, vector in self._vectors().items():
            vector.copy_(torch.from_numpy(state[name].copy()))
        self._last = tuple(torch.from_numpy(state[f"last{i}"].copy()) for i in range(3))

    def _vectors(self) -> dict[str, Tensor]:
        vectors = {
            "actor": self._actor,
            "actor_target": self._actor_target,
            "actor_average": self._actor_average,
            "critics": self._critics,
            "critics_target": self._critics_target,
        }
        for name, adam in (("actor_adam", self._actor_adam), ("critics_adam", self._critics_adam)):
            (moments,) = adam.state.values()
            vectors |= {f"{name}.{key}": moments[key] for key in ("step", "exp_avg", "exp_avg_sq")}
        return vectors if self._gate_critics is None else vectors | self._gate_critics.vectors()


def named_layers(parameters: list[Tensor]) -> dict[str, np.ndarray]:
    """Copies of a `Network`'s weights and biases by the names that a published policy has for them."""
    names = [f"{kind}{layer}" for layer in range(3) for kind in ("weight", "bias")]
    return {n: p.cpu().numpy().copy() for n, p in zip(names, parameters, strict=True)}


def _features(action: Tensor) -> Tensor:
    return cast(Any, action_features)(action)


def keep_freed_memory() -> bool:
    """Raise this process's trim and mmap thresholds to 1 GiB; False where the C library is not glibc.

    An update frees and asks again for some twenty blocks of 256 KB. Where the heap happens to end near them, glibc returns
    them each time and every write is then a page fault: updates took three times as long in one run out of a few.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES) and mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES))
