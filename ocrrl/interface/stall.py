"""Whether a base policy that acts alone has stalled, from what the cell observes, never from the true state.

It is asked by a residual that waits (`FadeIn`) and by hybrid rollouts (`rollouts.handover`).
Legend: N environments, n of them selected by ids (n,); O tracked objects; K = O + 2 places.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from ocrrl.interface.observations import Observation


@dataclass(frozen=True)
class StallRule:
    """When a base counts as stalled: everything stands still, the fingers hold nothing, or the episode lasts too long."""

    still_steps: int = 15
    """Control steps for which gripper, fingers and visible objects all stayed within `still_within`."""
    still_within: float = 0.01
    """[m]; beyond a tracker's jitter."""
    after: int | None = None
    """Control steps after which an episode counts as stalled anyhow, such as the median length of the VLA's successes; null: never."""
    missed: float = 0.0
    """Fingers nearer to each other than this [m] have closed on nothing, which counts as a stall; 0: that is no sign."""

    def __post_init__(self) -> None:
        if self.still_steps < 0:
            raise ValueError(f"still_steps must be at least 0, got {self.still_steps}")
        if not 0 < self.still_within <= 1:
            raise ValueError(f"still_within must be in (0, 1] m, got {self.still_within}")
        if self.after is not None and self.after < 0:
            raise ValueError(f"after must be at least 0 or null, got {self.after}")
        if not 0 <= self.missed <= 0.1:
            raise ValueError(f"missed must be in [0, 0.1] m, got {self.missed}")


class StallDetector:
    """Which of N environments have stalled; one that has stays so until its next episode."""

    def __init__(self, rule: StallRule, num_envs: int, objects: int, every: int = 1) -> None:
        """To be asked every `every` control steps, about `objects` tracked objects."""
        self._rule, self._every = rule, every
        self._stalled, self._steps, self._still = (
            np.zeros(num_envs, bool),
            np.zeros(num_envs, int),
            np.zeros(num_envs, int),
        )
        self._latest = np.zeros(num_envs)
        self._anchors = np.full((num_envs, objects + 2, 3), np.nan)  # where things were when something last moved
        self.reset(np.arange(num_envs))

    def reset(self, ids: Int[np.ndarray, " n"], latest: Float[np.ndarray, " n"] | None = None) -> None:
        """Episodes begin, to count as stalled after `latest` control steps in place of `StallRule.after`."""
        self._stalled[ids], self._steps[ids], self._still[ids], self._anchors[ids] = False, 0, -self._every, np.nan
        after = np.inf if self._rule.after is None else self._rule.after
        self._latest[ids] = after if latest is None else latest

    def stalled(
        self, observation: Observation, visible: Bool[np.ndarray, "n O"], ids: Int[np.ndarray, " n"]
    ) -> Bool[np.ndarray, " n"]:
        """Whether the base has stalled by now in the environments `ids`."""
        now, anchors = _places(observation, visible), self._anchors[ids]
        # NaN, the place of an object that is not visible, compares as not moved.
        moved = (np.linalg.norm(now - anchors, axis=-1) > self._rule.still_within).any(axis=-1)
        self._anchors[ids] = np.where(moved[:, None, None] | np.isnan(anchors), now, anchors)
        self._still[ids] = np.where(moved, 0, self._still[ids] + self._every)
        self._stalled[ids] |= (
            (self._still[ids] >= self._rule.still_steps)
            | (self._steps[ids] >= self._latest[ids])
            | (observation.gripper_width < self._rule.missed)
        )
        self._steps[ids] += self._every
        return self._stalled[ids]


def _places(observation: Observation, visible: Bool[np.ndarray, "n O"]) -> Float[np.ndarray, "n K 3"]:
    """Positions of gripper and objects [m], NaN where not visible, and the opening of the fingers as a third kind of place."""
    objects = np.where(visible[..., None], observation.object_poses[..., :3], np.nan)
    fingers = np.zeros((len(objects), 1, 3))
    fingers[:, 0, 0] = observation.gripper_width
    return np.concatenate([observation.gripper_pose[:, None, :3], fingers, objects], axis=1)


@dataclass(frozen=True)
class FadeIn(StallRule):
    """A residual that waits until its base stalls (as PLD's probing has the base act first, arXiv 2511.00091), then fades in.

    It then acts to the episode's end.
    """

    after: int | None = 100
    over: int = 8
    """Control steps from nothing to all of the residual."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.over < 0:
            raise ValueError(f"over must be at least 0, got {self.over}")


class FadingIn:
    """How far a residual has come in, in each of N environments."""

    def __init__(self, fade_in: FadeIn, num_envs: int, objects: int, every: int) -> None:
        """For one batch of episodes, looked at every `every` control steps."""
        self._detector, self._every, self._over = StallDetector(fade_in, num_envs, objects, every), every, fade_in.over
        self._acting = np.zeros(num_envs, int)  # control steps since the stall

    def scale(
        self, ids: Int[np.ndarray, " n"], observation: Observation, visible: Bool[np.ndarray, "n O"]
    ) -> Float[np.ndarray, "n 1"]:
        """In [0, 1], float32; to be asked at every decision, for the environments that still run."""
        self._acting[ids] += self._every * self._detector.stalled(observation, visible, ids)
        come = np.minimum(self._acting[ids] / max(self._over, self._every), 1.0)
        return come[:, None].astype(np.float32)
