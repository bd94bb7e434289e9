"""Hybrid rollouts: the VLA begins an episode alone, base + residual goes on where the VLA stalls (after PLD, arXiv 2511.00091).

Legend: N environments, n of them selected by ids (n,).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from ocrrl.interface.observations import Observation
from ocrrl.interface.stall import StallDetector, StallRule


@dataclass(frozen=True)
class HandoverRule(StallRule):
    """When the VLA counts as stalled, perhaps in each episode at another time."""

    after_least: int | None = None
    """`after` is drawn for each episode by its seed, uniformly from this up to `after`, as PLD probes; null: it is `after`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.after_least is not None and not 0 <= self.after_least <= (-1 if self.after is None else self.after):
            raise ValueError(f"after_least must be in [0, after], got {self.after_least} with after {self.after}")

    def latest(self, seed: int) -> float:
        """The control step at which the episode of `seed` counts as stalled at the latest."""
        if self.after is None:
            return np.inf
        least = self.after if self.after_least is None else self.after_least
        return int(np.random.default_rng([seed, 4]).integers(least, self.after + 1))


class HandoverWhereStalled:
    """`interface.protocols.Handover` at the first step at which the VLA has stalled; from there on base + residual acts to the end."""

    def __init__(self, rule: HandoverRule, num_envs: int, objects: int) -> None:
        self._rule, self._detector = rule, StallDetector(rule, num_envs, objects)

    def reset(self, ids: Int[np.ndarray, " n"], seeds: Sequence[int]) -> None:
        """As `interface.protocols.Handover`."""
        self._detector.reset(ids, np.array([self._rule.latest(int(seed)) for seed in seeds], float))

    def handed_over(self, observation: Observation, ids: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """As `interface.protocols.Handover`."""
        return self._detector.stalled(observation, observation.visible(), ids)
