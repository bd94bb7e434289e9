"""Transitions to learn from: a ring of rows, and batches that mix the online ring with the offline demonstrations."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


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


class BatchMemory:
    """The host memory that batches (rows, width) are drawn into.

    On the way to a GPU, one of two pinned batches is drawn while the one before is learned from; on the CPU one is enough.
    """

    def __init__(self, rows: int, width: int, device: torch.device) -> None:
        on_gpu = device.type == "cuda"
        self._batches = [torch.zeros((rows, width), pin_memory=on_gpu) for _ in range(2 if on_gpu else 1)]
        self._read = [torch.cuda.Event() for _ in self._batches] if on_gpu else []
        self._device, self._turn = device, 0

    @contextmanager
    def batch(self) -> Iterator[Float[Tensor, "rows width"]]:
        """A batch to fill and to learn from; at its turn again the GPU has read it."""
        turn = self._turn = (self._turn + 1) % len(self._batches)
        if self._read:
            self._read[turn].synchronize()
        yield self._batches[turn]
        if self._read:
            self._read[turn].record(torch.cuda.current_stream(self._device))
