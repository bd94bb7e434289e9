"""Exploration noise on the residual (Algorithm 1, line 12)."""

import numpy as np
from jaxtyping import Float, Int

from ocrrl.interface.actions import ACTION_DIM
from ocrrl.residual.residual_config import ACTION_UNITS, ResidualConfig, per_dimension


def exploration_noise(
    config: ResidualConfig, ids: Int[np.ndarray, " n"], generator: np.random.Generator
) -> Float[np.ndarray, "n 7"]:
    """clip(N(0, sigma), -c, c) in units of the action's range, as residuals [m, rad, opening] (Algorithm 1, line 12).

    sigma falls over the environments, from `exploration_std` in the first to `exploration_least` of it in the last ("mixed
    exploration", Li et al. 2023): with noise at every decision an episode seldom comes to stages where centimetres decide.
    """
    share = np.linspace(1.0, config.exploration_least, config.num_envs)[ids]
    noise = generator.standard_normal((len(ids), ACTION_DIM)) * share[:, None] * per_dimension(config.exploration_std)
    return (np.clip(noise, -config.exploration_clip, config.exploration_clip) * ACTION_UNITS).astype(np.float32)
