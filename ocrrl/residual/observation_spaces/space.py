"""How an environment is observed in training, and what learns from it; Algorithm 1 is the same for every choice.

Environments that do not decide need no frame and no true state.
Legend: N environments, n of them selected by ids (n,); D length of the observation in a row of the replay buffer,
C of `protocols.chunk_features`.
"""

from typing import Any, Protocol

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ocrrl.interface.observations import Observation
from ocrrl.interface.protocols import Environment, PlaceableEnvironment
from ocrrl.residual.images.frames import FrameStore
from ocrrl.residual.images.image_policy import PREFIX
from ocrrl.residual.residual_config import ResidualConfig, in_action_units, per_dimension
from ocrrl.residual.residual_policy import ResidualPolicy, TrainedPolicy
from ocrrl.residual.restraint.critic_gate import ALWAYS, CriticGate
from ocrrl.residual.restraint.critic_gate import PREFIX as CRITICS
from ocrrl.residual.td3 import UpdateStatistics
from ocrrl.residual.transitions import TransitionRow

ChunkFeatures = Float[np.ndarray, "n C"] | None


class Learner(Protocol):
    """`td3.TD3`, or what takes its place in Algorithm 1."""

    layout: TransitionRow
    device: Any

    @property
    def updates(self) -> int: ...
    @property
    def gradient_steps(self) -> int: ...
    def update(self, batch: Tensor, offline_count: int = 0, /) -> None: ...
    def residual(self, observation: Float[np.ndarray, "n D"], /) -> Float[np.ndarray, "n 7"]: ...
    def statistics(self) -> UpdateStatistics: ...
    def actor_weights(self) -> dict[str, np.ndarray]: ...
    def get_state(self) -> dict[str, np.ndarray]: ...
    def set_state(self, state: dict[str, np.ndarray], /) -> None: ...


class ObservationSpace(Protocol):
    """How an environment is observed, and what learns from it."""

    @property
    def dim(self) -> int:
        """D."""
        ...

    @property
    def reenacted_in(self) -> PlaceableEnvironment | None:
        """Where demonstrations must be acted again, since what is observed of them was not recorded; None where it was."""
        ...

    @property
    def frames(self) -> FrameStore | None:
        """What the frame numbers in its observations stand for, if it has such."""
        ...

    def observe(
        self,
        ids: Int[np.ndarray, " n"],
        deciding: Bool[np.ndarray, " n"],
        observation: Observation,
        base_action: Float[np.ndarray, "n 7"],
        chunks: ChunkFeatures,
        generator: np.random.Generator,
    ) -> Float[np.ndarray, "n D"]:
        """The observations of the environments `ids`, of which those `deciding` must be whole."""
        ...

    def learner(self, seed: int) -> Learner: ...

    def policy(self, weights: dict[str, np.ndarray], largest_delay: int) -> TrainedPolicy:
        """The policy that a learner's `actor_weights` stand for."""
        ...


def placeable(environment: Environment) -> PlaceableEnvironment:
    if not isinstance(environment, PlaceableEnvironment):
        raise ValueError(
            f"cell {environment.cell} must be one that can be put into a recorded state (reset_to), to observe the demonstrations: "
            "train in the simulator, or with observation: objects"
        )
    return environment


def actor[P: ResidualPolicy](
    kind: type[P], config: ResidualConfig, weights: dict[str, np.ndarray], largest_delay: int
) -> P:
    layers = {name: value for name, value in weights.items() if not name.startswith((PREFIX, CRITICS))}
    scale = in_action_units(config.residual_scale)
    return kind(
        layers,
        scale,
        config.layer_norm,
        config.action_repeat,
        largest_delay,
        config.chunk_phase,
        config.coming_actions,
        gate_of(config, weights),
        config.fade_in,
    )


def gate_of(config: ResidualConfig, weights: dict[str, np.ndarray]) -> CriticGate | None:
    """The gate that `config` asks for, before its margin is calibrated: the residual always acts."""
    if config.gate is None:
        return None
    critics = {n.removeprefix(CRITICS): value for n, value in weights.items() if n.startswith(CRITICS)}
    units, gate = per_dimension(config.residual_scale), config.gate
    return CriticGate(critics, config.layer_norm, units, ALWAYS, gate.pessimism, gate.scalings)
