"""A TD3 update on a GPU as a CUDA graph, which launches its many small kernels at once.

Launched one by one, an update takes several times as long as the GPU computes (docs/devices.md). It has no branches on data, so its
launches can be recorded (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs) and replayed on another batch.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Seen = tuple[Tensor, Tensor, Tensor | None]
"""What an update leaves for `TD3.statistics`: targets (B, 1), errors (B, 1), and u (B, 7) if it updated the actor."""


@dataclass(frozen=True)
class Parts:
    """What an update consists of besides the critics' step."""

    offline_count: int
    actor: bool
    targets: bool


Update = Callable[[Tensor, Parts], Seen]


class CudaGraphUpdate:
    """Runs `update` on `device` as it is the first time, which sets the libraries up, and replays a recording from then on.

    Each combination of batch size and `Parts` is recorded for itself. `generator` is the only one that `update` draws from.
    The batch may lie in the host's memory; what is returned is valid until the next call with the same parts.
    """

    def __init__(self, update: Update, generator: torch.Generator, device: torch.device) -> None:
        self._update, self._generator, self._device = update, generator, device
        self._set_up: set[tuple[int, Parts]] = set()
        self._recordings: dict[tuple[int, Parts], tuple[torch.cuda.CUDAGraph, Tensor, Seen]] = {}

    def __call__(self, batch: Tensor, parts: Parts) -> Seen:
        key = len(batch), parts
        if key not in self._set_up:
            self._set_up.add(key)
            return self._update(batch.to(self._device), parts)
        if key not in self._recordings:
            self._recordings[key] = self._record(batch, parts)
        graph, recorded_batch, seen = self._recordings[key]
        recorded_batch.copy_(batch, non_blocking=True)
        graph.replay()
        return seen

    def _record(self, batch: Tensor, parts: Parts) -> tuple[torch.cuda.CUDAGraph, Tensor, Seen]:
        """Nothing is computed while a graph is recorded."""
        graph, recorded_batch = torch.cuda.CUDAGraph(), torch.empty_like(batch, device=self._device)
        graph.register_generator_state(self._generator)
        with torch.cuda.device(self._device), torch.cuda.graph(graph):
            seen = self._update(recorded_batch, parts)
        return graph, recorded_batch, seen
