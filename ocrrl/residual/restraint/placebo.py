"""A placebo: the base with a disturbance that corrects nothing and pushes nothing aside.

What it loses of the states that the base solves is lost to contacts that amplify any difference: that much of a residual's harm says
nothing of the residual.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from ocrrl.interface.actions import ACTION_DIM, compose
from ocrrl.interface.observations import Observation
from ocrrl.interface.protocols import Capture, Policy

PLACEBO_SHARE = 0.02
"""Of the residual's bound, drawn evenly at each of its decisions: 0.12 mm and at most 0.0012 rad a step, 0.015 of the opening.

Fixed before any result: a fiftieth of what a residual may do, a fortieth of the tracking errors that it has to live with, while bases
miss by millimetres to centimetres.
"""
_SEED = 7  # beside a state's own


class Placebo:
    """`interface.protocols.Policy`: `base`, its actions disturbed evenly within `amplitude` (7,), anew every `every` control steps.

    The disturbance follows from the initial state's seed.
    """

    def __init__(self, base: Policy, num_envs: int, amplitude: Float[np.ndarray, " 7"], every: int) -> None:
        self._base, self._amplitude, self._every = base, np.asarray(amplitude, np.float32), every
        self._steps = np.zeros(num_envs, int)
        self._kept = np.zeros((num_envs, ACTION_DIM), np.float32)
        self._random = [np.random.default_rng(0) for _ in range(num_envs)]

    def reset(self, ids: Int[np.ndarray, " n"], seeds: Sequence[int]) -> None:
        """Begin new episodes in the environments `ids`."""
        self._base.reset(ids, seeds)
        self._steps[ids] = 0
        for i, seed in zip(ids, seeds, strict=True):
            self._random[i] = np.random.default_rng([seed, _SEED])

    def act(self, observation: Observation, ids: Int[np.ndarray, " n"], capture: Capture) -> Float[np.ndarray, "n 7"]:
        """The base's actions, disturbed, within the step limits."""
        for i in ids[self._steps[ids] % self._every == 0]:
            self._kept[i] = self._random[i].uniform(-1.0, 1.0, ACTION_DIM) * self._amplitude
        self._steps[ids] += 1
        return compose(self._base.act(observation, ids, capture).astype(np.float32), self._kept[ids])
