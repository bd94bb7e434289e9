"""Hybrid rollouts: the VLA begins an episode alone, base + residual goes on where the VLA stalls (after PLD, arXiv 2511.00091).

A stall is decided from what the cell observes, never from the true state.
Legend: N environments, n of them selected by ids (n,); K = O + 2 places.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from ocrrl.interface.observations import Observation


@dataclass(frozen=True)
class StallRule:
    """When the VLA counts as stalled: everything stands still, or the episode lasts longer than the VLA usually needs."""

    still_steps: int = 15
    """Control steps for which gripper, fingers and visible objects all stayed within `still_within`."""
    still_within: float = 0.01
    """[m]; beyond a tracker's jitter."""
    after: int | None = None
    """Control steps after which an episode counts as stalled anyhow, such as the median length of the VLA's successes; null: never."""
    after_least: int | None = None
    """`after` is drawn for each episode by its seed, uniformly from this up to `after`, as PLD probes; null: it is `after`."""

    def __post_init__(self) -> None:
        if self.still_steps < 0:
            raise ValueError(f"still_steps must be at least 0, got {self.still_steps}")
        if not 0 < self.still_within <= 1:
            raise ValueError(f"still_within must be in (0, 1] m, got {self.still_within}")
        if self.after is not None and self.after < 0:
            raise ValueError(f"after must be at least 0 or null, got {self.after}")
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

    def __init__(self, rule: StallRule, num_envs: int) -> None:
        self._rule = rule
        self._stalled = np.zeros(num_envs, bool)
        self._steps, self._latest = np.zeros(num_envs, int), np.full(num_envs, np.inf)
        self._still = np.zeros(num_envs, int)  # steps since anything left its anchor
        self._anchors: dict[int, Float[np.ndarray, "K 3"]] = {}  # where things were when something last moved

    def reset(self, ids: Int[np.ndarray, " n"], seeds: Sequence[int]) -> None:
        """As `interface.protocols.Handover`."""
        self._latest[ids] = [self._rule.latest(int(seed)) for seed in seeds]
        self._stalled[ids], self._steps[ids], self._still[ids] = False, 0, 0
        for env in ids.tolist():
            self._anchors.pop(env, None)

    def handed_over(self, observation: Observation, ids: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """As `interface.protocols.Handover`."""
        for env, now in zip(ids.tolist(), _places(observation), strict=True):
            anchor = self._anchors.get(env)
            # NaN, the place of an object that is not visible, compares as not moved.
            if anchor is None or (np.linalg.norm(now - anchor, axis=-1) > self._rule.still_within).any():
                self._anchors[env], self._still[env] = now, 0
            else:
                self._anchors[env] = np.where(np.isnan(anchor), now, anchor)
                self._still[env] += 1
        self._stalled[ids] |= (self._still[ids] >= self._rule.still_steps) | (self._steps[ids] >= self._latest[ids])
        self._steps[ids] += 1
        return self._stalled[ids]


def _places(observation: Observation) -> Float[np.ndarray, "n K 3"]:
    """Positions of gripper and objects [m], NaN where not visible, and the opening of the fingers as a third kind of place."""
    objects = np.where(observation.visible()[..., None], observation.object_poses[..., :3], np.nan)
    fingers = np.zeros((len(objects), 1, 3))
    fingers[:, 0, 0] = observation.gripper_width
    return np.concatenate([observation.gripper_pose[:, None, :3], fingers, objects], axis=1)
