"""The forward pass of a published network in numpy: that of `networks.Network`, without torch."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

LAYERS = 3
LAYER_NORM_EPSILON = 1e-5  # as in `networks`, which this file does not import: it would bring torch along


def perceptron(
    x: Float[np.ndarray, "... n I"], weights: Mapping[str, np.ndarray], layer_norm: bool
) -> Float[np.ndarray, "... n O"]:
    """Two hidden layers of LayerNorm and ReLU. `weights` holds weight0..2 (..., inputs, outputs) and bias0..2 (..., outputs).

    With leading dimensions in both, a pass for each of so many networks.
    """
    h = x
    for i in range(LAYERS):
        bias = weights[f"bias{i}"]
        h = h @ weights[f"weight{i}"] + (bias if bias.ndim == 1 else bias[..., None, :])
        if i < LAYERS - 1:
            h = _activate(h, layer_norm)
    return h


def _activate(h: np.ndarray, layer_norm: bool) -> np.ndarray:
    if layer_norm:
        h = h - h.sum(-1, keepdims=True) / h.shape[-1]
        variance = np.einsum("...h,...h->...", h, h)[..., None] / h.shape[-1]
        h = h / np.sqrt(variance + LAYER_NORM_EPSILON)
    return np.maximum(h, 0.0)
