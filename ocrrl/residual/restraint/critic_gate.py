"""Where a residual acts: where an ensemble of critics agrees that it is better than none.

    A_c(s) = mean_i D_i - pessimism std_i D_i,   D_i = Q_i(s, a_base ⊕ c residual) - Q_i(s, a_base)

The residual acts with the scaling c in {1/k, ..., 1} of the largest A_c where that is above the margin, else the base acts alone. A
lower bound by an ensemble's spread is that of SAC-N and MSG (An et al. 2021, Ghasemipour et al. 2022); here it bounds a difference,
in which what the critics do not know of s itself cancels. numpy only, the same in training's validation, evaluation and on the robot.
Legend: n states, D length of the residual observation, E critics, H hidden units, k scalings.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from jaxtyping import Float

from ocrrl import files
from ocrrl.interface.actions import ACTION_DIM, compose
from ocrrl.interface.json_file import said
from ocrrl.interface.observations import ACTION_FEATURES, action_features, action_of_features
from ocrrl.interface.weights_file import read_weights_file
from ocrrl.residual.perceptron import LAYERS, perceptron

CRITICS_FILE = "critics.safetensors"
PREFIX = "critics."
"""Of the critics' tensors among a policy's weights."""
NEVER, ALWAYS = math.inf, -math.inf
"""Margins with which the residual never acts, and always."""
_WORDS = {"never": NEVER, "always": ALWAYS}


def margin_said(margin: float) -> float | str:
    """A margin as JSON has it: infinite ones in words."""
    return {value: word for word, value in _WORDS.items()}.get(margin, margin)


def margin_of(said_margin: float | str) -> float:
    """`margin_said` undone."""
    return _WORDS[said_margin] if isinstance(said_margin, str) else said_margin


@dataclass(frozen=True)
class CriticGate:
    """Scales residuals by what critics say of them."""

    critics: Mapping[str, Float[np.ndarray, "E ..."]]
    """weight0..2 (E, inputs, outputs) and bias0..2 (E, outputs), as `CriticEnsemble.weights` gives them."""
    layer_norm: bool
    critic_units: Float[np.ndarray, " 7"]
    """By which a change of `action_features` is divided for the critics: the residual's bound in these units."""
    margin: float = ALWAYS
    pessimism: float = 1.0
    scalings: int = 1

    def scale(
        self, observation: Float[np.ndarray, "n D"], residual: Float[np.ndarray, "n 7"], after: int
    ) -> Float[np.ndarray, "n 1"]:
        """In [0, 1], float32: how much of `residual` acts. `after`: columns of the observation behind the base action's."""
        scalings = np.arange(1, self.scalings + 1, dtype=np.float32) / np.float32(self.scalings)
        if self.scalings == 1 and math.isinf(self.margin):
            return np.full((len(residual), 1), self.margin < 0, np.float32)
        bounds = self.lower_bounds(observation, residual, after, scalings)
        best = bounds.argmax(axis=1)
        acts = np.take_along_axis(bounds, best[:, None], axis=1) > self.margin
        return np.where(acts, scalings[best][:, None], np.float32(0.0))

    def lower_bounds(
        self,
        observation: Float[np.ndarray, "n D"],
        residual: Float[np.ndarray, "n 7"],
        after: int,
        scalings: Float[np.ndarray, " k"],
    ) -> Float[np.ndarray, "n k"]:
        """A_c(s) of each scaling c."""
        end = observation.shape[1] - after
        features = observation[:, end - ACTION_FEATURES : end]
        base_action = action_of_features(features)
        values = [self._values(observation, np.zeros_like(features))]
        for scaling in scalings:
            change = action_features(compose(base_action, scaling * residual)) - action_features(base_action)
            values.append(self._values(observation, change / self.critic_units))
        gains = np.stack(values[1:], axis=-1) - values[0][..., None]  # E n k
        return gains.mean(axis=0) - self.pessimism * gains.std(axis=0)

    def _values(
        self, observation: Float[np.ndarray, "n D"], change: Float[np.ndarray, "n 7"]
    ) -> Float[np.ndarray, "E n"]:
        """Q_i(s, a), the critics' input being what `TD3.critic_input` makes."""
        inputs = np.concatenate([observation, change], axis=1, dtype=np.float32)
        return perceptron(inputs[None], self.critics, self.layer_norm)[..., 0]


def save_gate(folder: Path, gate: CriticGate) -> dict[str, Any]:
    """Write the critics into `folder`; what config.json says of them."""
    tensors = {name: np.ascontiguousarray(value, np.float32) for name, value in gate.critics.items()}
    files.write_bytes(folder / CRITICS_FILE, safetensors.numpy.save(tensors))
    return {
        "margin": margin_said(gate.margin),
        "pessimism": gate.pessimism,
        "scalings": gate.scalings,
        "critics": len(gate.critics["bias0"]),
    }


def load_gate(
    folder: Path, described: Any, where: str, observation_dim: int, layer_norm: bool, critic_units: np.ndarray
) -> CriticGate:
    """The gate that config.json describes so, with the critics in `folder`.

    Raises FileNotFoundError for a missing file, ValueError that begins with `where` and names the field, or names the tensor.
    """
    numbers = {"margin": float, "pessimism": float, "scalings": int, "critics": int}
    if not isinstance(described, dict) or not set(numbers) <= set(described):
        raise ValueError(f"{where}: gate must have {', '.join(numbers)}, got {said(described)}")
    margin, pessimism = _WORDS.get(str(described["margin"]), described["margin"]), described["pessimism"]
    if isinstance(margin, bool) or not isinstance(margin, float | int):
        raise ValueError(f"{where}: gate.margin must be a number, never or always, got {said(margin)}")
    if isinstance(pessimism, bool) or not isinstance(pessimism, float | int) or not 0 <= pessimism < math.inf:
        raise ValueError(f"{where}: gate.pessimism must be a number of at least 0, got {said(pessimism)}")
    for name, least in (("scalings", 1), ("critics", 2)):
        if type(described[name]) is not int or not least <= described[name] <= 100:
            raise ValueError(
                f"{where}: gate.{name} must be a whole number from {least} to 100, got {said(described[name])}"
            )
    path = folder / CRITICS_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"residual policy {folder} must hold {CRITICS_FILE}, since config.json has a gate; it is missing"
        )
    weights, count = read_weights_file(path), described["critics"]
    hidden = [stored.shape[-1] if (stored := weights.tensors.get(name)) else 0 for name in ("bias0", "bias1")]
    sizes = (observation_dim + ACTION_DIM, *hidden, 1)
    shapes: dict[str, tuple[int, ...]] = {f"weight{i}": (count, *sizes[i : i + 2]) for i in range(LAYERS)}
    shapes |= {f"bias{i}": (count, sizes[i + 1]) for i in range(LAYERS)}
    weights.require(shapes, "a gate's critics")
    weights.require_finite()
    critics = safetensors.numpy.load_file(path)
    return CriticGate(critics, layer_norm, critic_units, float(margin), float(pessimism), described["scalings"])
