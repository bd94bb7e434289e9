"""How late the chunks of a slow VLA are: measured once, then drawn for each episode, in simulation and for the arm alike."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from ocrrl.interface.actions import CONTROL_HZ

AT_ONCE = 0.010
"""[s] that the control loop may wait for a chunk: a VLA that answers within it has d = 0."""
ON_TIME = 0.95
_STREAM = 0xC4  # keeps these draws apart from others of the same episode's seed


@dataclass(frozen=True)
class ChunkDelay:
    """The control steps d from an observation to the first action of the chunk that answers it, one value an episode."""

    shares: tuple[float, ...] = (1.0,)
    """Of the episodes with d = 0, 1, 2, ...; none is negative, and together they are 1."""

    def __post_init__(self) -> None:
        shares = tuple(float(share) for share in self.shares)
        if not shares or min(shares) < 0 or not math.isclose(sum(shares), 1.0, abs_tol=1e-6) or shares[-1] == 0:
            raise ValueError(f"shares must be at least 0, sum to 1 and end above 0, got {list(self.shares)}")
        object.__setattr__(self, "shares", shares)

    @property
    def largest(self) -> int:
        """The largest d that is drawn."""
        return len(self.shares) - 1

    @property
    def on_the_arm(self) -> int:
        """d on an arm, where each answer comes when it comes: the smallest that 95% of the measured answers are in time for."""
        return int(np.searchsorted(np.cumsum(self.shares), ON_TIME - 1e-9))

    def of_episodes(self, seeds: Sequence[int]) -> Int[np.ndarray, " n"]:
        """d for the episodes whose initial states are `seeds`: the same for the same seed, whoever acts."""
        if self.largest == 0:
            return np.zeros(len(seeds), np.int64)
        drawn = [np.random.default_rng((int(seed), _STREAM)).random() for seed in seeds]
        return np.minimum(np.searchsorted(np.cumsum(self.shares), drawn, side="right"), self.largest)


def steps_late(seconds: float) -> int:
    """d for a chunk that takes `seconds` from the camera's frame to its last byte: whole control steps, 0 up to `AT_ONCE`."""
    return 0 if seconds <= AT_ONCE else math.ceil(seconds * CONTROL_HZ - 1e-9)


def measured_delay(seconds: Iterable[float]) -> ChunkDelay:
    """The delays of chunks that took `seconds` each; ValueError without one, or for a time that is none."""
    times = list(seconds)
    if not times or not all(math.isfinite(time) and time > 0 for time in times):
        raise ValueError(f"latencies must be at least one positive number of seconds, got {times[:5]}")
    counts = np.bincount([steps_late(time) for time in times])
    return ChunkDelay(tuple(counts / len(times)))
