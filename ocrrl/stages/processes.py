"""Independent calls side by side in processes of their own, one thread each: two cores, twice the speed, same bytes."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def side_by_side[T](function: Callable[..., T], calls: Sequence[tuple[Any, ...]]) -> list[T]:
    """`function(*call)` for every call, results in that order; at most one process a core.

    `function` must be importable by name. An error in a call is raised here once the others are done.
    """
    workers = min(len(calls), os.cpu_count() or 1)
    if workers == 1:
        return [function(*call) for call in calls]
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_one_thread) as pool:
        return list(pool.map(function, *zip(*calls, strict=True)))


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
