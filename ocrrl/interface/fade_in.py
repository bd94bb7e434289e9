"""A residual that waits until its base stalls (as PLD's probing has the base act first, arXiv 2511.00091), then fades in.

Whether the base stalls is seen in what a policy is given anyway, the same in simulation and cell: the measured hand, the fingers'
width, the tracked objects. Legend: N environments, n of them selected by ids (n,), O tracked objects.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from ocrrl.interface.observations import Observation

_FINGERS = 0.005  # [m] by which the fingers' width must change to count as motion


@dataclass(frozen=True)
class FadeIn:
    """When a residual comes in, and how fast; it then acts to the episode's end. Steps are control steps."""

    patience: int = 100
    """The residual comes in after so many steps, whatever the base does."""
    window: int = 24
    """The base stalls once nothing has moved for so many steps: neither hand, nor fingers, nor an object that is seen."""
    hand: float = 0.01
    """Distance [m] from where it was that counts as motion of the hand."""
    objects: float = 0.01
    """The same of an object; the tracker's jitter stays below."""
    missed: float = 0.0
    """The base stalls, too, once the fingers are nearer to each other than this [m]: they hold nothing; 0: that is no sign."""
    over: int = 8
    """Steps from nothing to all of the residual."""

    def __post_init__(self) -> None:
        for name, least, most in (
            ("patience", 0, 10_000),
            ("window", 1, 10_000),
            ("hand", 0.0, 1.0),
            ("objects", 0.0, 1.0),
            ("missed", 0.0, 0.1),
            ("over", 0, 10_000),
        ):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be from {least} to {most}, got {getattr(self, name)}")

    def begin(self, num_envs: int, every: int) -> "FadingIn":
        """For a batch of episodes, looked at every `every` control steps."""
        return FadingIn(self, num_envs, every)


class FadingIn:
    """How far the residual has come in, in each of N environments."""

    def __init__(self, fade_in: FadeIn, num_envs: int, every: int) -> None:
        self._fade_in, self._every, self._step = fade_in, every, 0
        self._since = np.full(num_envs, -1)  # the step at which the residual came in; -1: not yet
        self._seen: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []

    def scale(
        self, ids: Int[np.ndarray, " n"], observation: Observation, visible: Bool[np.ndarray, "n O"]
    ) -> Float[np.ndarray, "n 1"]:
        """In [0, 1], float32; to be asked at every decision, for the environments that still run."""
        fade_in, everyone = self._fade_in, len(self._since)
        hand, width = np.zeros((everyone, 3)), np.zeros(everyone)
        objects, seen = np.zeros((everyone, visible.shape[1], 3)), np.zeros((everyone, visible.shape[1]), bool)
        hand[ids], width[ids] = observation.gripper_pose[:, :3], observation.gripper_width
        objects[ids], seen[ids] = observation.object_poses[..., :3], visible
        self._seen = [*self._seen, (hand, width, objects, seen)][-(-(-fade_in.window // self._every) + 1) :]

        stalled = np.zeros(everyone, bool)
        if self._step >= fade_in.window:
            stalled = ~np.any([self._moved(then) for then in self._seen[:-1]], axis=0)
        if fade_in.missed:
            stalled |= width < fade_in.missed
        stalled |= self._step >= fade_in.patience
        waiting = self._since[ids] < 0
        self._since[ids[waiting & stalled[ids]]] = self._step
        age = self._step - self._since[ids] + self._every
        self._step += self._every
        come = np.minimum(age / max(fade_in.over, self._every), 1.0)
        return np.where(self._since[ids] < 0, 0.0, come)[:, None].astype(np.float32)

    def _moved(self, then: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]) -> Bool[np.ndarray, " N"]:
        """Since `then`."""
        hand, width, objects, seen = self._seen[-1]
        distances = np.linalg.norm(objects - then[2], axis=-1)
        return (
            (np.linalg.norm(hand - then[0], axis=-1) > self._fade_in.hand)
            | (np.abs(width - then[1]) > _FINGERS)
            | ((distances > self._fade_in.objects) & seen & then[3]).any(axis=-1)
        )
