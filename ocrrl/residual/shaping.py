"""Potential-based reward shaping (Ng, Harada and Russell 1999), with the staged reward as potential."""

import numpy as np
from jaxtyping import Bool, Float


def potential(reward: Float[np.ndarray, " n"], success: Bool[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """The potential of the state that a step led to: its reward, 1 where it ended in success."""
    return np.where(success, 1.0, reward)


def shaped(
    reward: Float[np.ndarray, " n"],
    before: Float[np.ndarray, " n"],
    after: Float[np.ndarray, " n"],
    weight: float,
    gamma: float,
) -> Float[np.ndarray, " n"]:
    """reward + weight (gamma `after` - `before`), `before` and `after` being potentials; the best policy stays the same.

    A reward for how far things have come is credited to whatever comes next; with `weight` 1 / (1 - gamma) only its
    changes count, at once and to the step that caused them: (after - before) / (1 - gamma), where `after` is `reward`.
    A NaN `before`, at an episode's first step, stands for `after`.
    """
    return reward + weight * (gamma * after - np.where(np.isnan(before), after, before))
