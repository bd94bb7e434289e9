"""Replay buffer: a ring of online transitions, and batches that mix in offline demonstrations."""

import numpy as np
from jaxtyping import Float


class ReplayBuffer:
    """A preallocated ring of float32 rows (capacity, width); the oldest give way."""

    def __init__(self, capacity: int, width: int) -> None:
        if capacity < 1:
            raise ValueError(f"replay buffer capacity must be at least 1, got {capacity}")
        self._rows = np.zeros((capacity, width), np.float32)
        self._added = 0

    def __len__(self) -> int:
        return min(self._added, len(self._rows))

    def add(self, rows: Float[np.ndarray, "m width"]) -> None:
        """Append `rows`."""
        capacity = len(self._rows)
        kept = rows[-capacity:]
        first = self._added + len(rows) - len(kept)
        self._rows[(first + np.arange(len(kept))) % capacity] = kept
        self._added += len(rows)

    def sample(self, count: int, generator: np.random.Generator, out: Float[np.ndarray, "count width"]) -> None:
        """Fill `out` with rows drawn uniformly with replacement; ValueError when there are none."""
        if count and not len(self):
            raise ValueError("replay buffer must hold at least one transition, got 0")
        np.take(self._rows, generator.integers(0, max(len(self), 1), count), axis=0, out=out, mode="clip")

    def get_state(self) -> dict[str, np.ndarray]:
        """The rows in the ring's order, for a checkpoint."""
        return {"rows": self._rows[: len(self)].copy(), "added": np.array(self._added)}

    def set_state(self, state: dict[str, np.ndarray]) -> None:
        """Go on from `get_state` of a buffer of the same capacity."""
        self._rows[: len(state["rows"])] = state["rows"]
        self._added = int(state["added"])


def sample_mixed(
    online: ReplayBuffer,
    offline: ReplayBuffer,
    batch: Float[np.ndarray, "batch width"],
    offline_count: int,
    generator: np.random.Generator,
) -> None:
    """Fill `batch`: its first `offline_count` rows from the demonstrations, the others from the online ring."""
    offline.sample(offline_count, generator, batch[:offline_count])
    online.sample(len(batch) - offline_count, generator, batch[offline_count:])
