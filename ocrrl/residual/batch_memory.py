"""Host memory for batches: with a GPU, the next batch is drawn during an update."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor


class BatchMemory:
    """Takes turns between two pinned batches (rows, width) where learning is done by a GPU; on the CPU one is enough."""

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
