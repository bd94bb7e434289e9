"""The trained residual policy as evaluation and the robot load it: numpy only, a forward pass under 0.1 ms.

Its folder holds `actor.safetensors` (weights, biases, scale), `config.json` (what it was trained for) and `curve.json`.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from jaxtyping import Float

from ocrrl import files
from ocrrl.interface.actions import ACTION_DIM
from ocrrl.interface.observations import residual_observation_dim
from ocrrl.interface.tabletop_tasks import TabletopTask

FORMAT_VERSION = 3
LAYER_NORM_EPSILON = 1e-5  # as in `networks`, which this file does not import: it would bring torch along


class ResidualPolicy:
    """pi_res, an `interface.protocols.Residual`: residual observations to residuals in the action's units."""

    def __init__(
        self, weights: dict[str, np.ndarray], scale: Float[np.ndarray, " 7"], layer_norm: bool, every: int = 1
    ) -> None:
        """`weights` holds weight0..2 (inputs, outputs) and bias0..2 (outputs,), as `TD3.actor_weights` gives them."""
        self.weights = {name: np.ascontiguousarray(value, np.float32) for name, value in weights.items()}
        self.scale = np.asarray(scale, np.float32)
        self.layer_norm = layer_norm
        self.every = every

    @property
    def observation_dim(self) -> int:
        return self.weights["weight0"].shape[0]

    def residual(self, residual_observation: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "n 7"]:
        """Residuals [m, rad, opening] for `residual_observation` of D numbers each, float32."""
        h = self._activate(residual_observation @ self.weights["weight0"] + self.weights["bias0"])
        h = self._activate(h @ self.weights["weight1"] + self.weights["bias1"])
        return np.tanh(h @ self.weights["weight2"] + self.weights["bias2"]) * self.scale

    def _activate(self, h: np.ndarray) -> np.ndarray:
        if self.layer_norm:
            h = h - h.sum(-1, keepdims=True) / h.shape[-1]
            variance = np.einsum("...h,...h->...", h, h)[..., None] / h.shape[-1]
            h = h / np.sqrt(variance + LAYER_NORM_EPSILON)
        return np.maximum(h, 0.0)


def save_residual(folder: Path, policy: ResidualPolicy, tabletop_task: TabletopTask, details: dict[str, Any]) -> None:
    """Write `policy` into `folder`; `details` (JSON) join what `load_residual` checks in config.json."""
    tensors = policy.weights | {"scale": policy.scale}
    files.write_bytes(folder / "actor.safetensors", safetensors.numpy.save(tensors))
    described = {
        "format_version": FORMAT_VERSION,
        "tabletop_task": tabletop_task.slug,
        "observation_dim": policy.observation_dim,
        "action_dim": ACTION_DIM,
        "layer_norm": policy.layer_norm,
        "residual_every": policy.every,
        "residual_scale": [float(x) for x in policy.scale],
    }
    files.write_json(folder / "config.json", details | described)


def load_residual(folder: Path, tabletop_task: TabletopTask) -> ResidualPolicy:
    """The residual policy in `folder`, made for `tabletop_task`.

    Raises FileNotFoundError when a file is missing, ValueError when it was trained for another tabletop task, format or
    observation.
    """
    folder = Path(folder)
    for name in ("config.json", "actor.safetensors"):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"residual policy {folder} must hold config.json and actor.safetensors, {name} is missing"
            )
    config = json.loads((folder / "config.json").read_text())
    expected = {
        "format_version": FORMAT_VERSION,
        "tabletop_task": tabletop_task.slug,
        "observation_dim": residual_observation_dim(tabletop_task),
        "action_dim": ACTION_DIM,
    }
    for name, value in expected.items():
        if config.get(name) != value:
            raise ValueError(f"residual policy {folder}: {name} must be {value!r}, got {config.get(name)!r}")
    tensors = safetensors.numpy.load_file(folder / "actor.safetensors")
    scale = tensors.pop("scale")
    policy = ResidualPolicy(tensors, scale, config["layer_norm"], config["residual_every"])
    if policy.observation_dim != expected["observation_dim"]:
        raise ValueError(
            f"residual policy {folder}: actor.safetensors must take {expected['observation_dim']} numbers, "
            f"got {policy.observation_dim}"
        )
    return policy
