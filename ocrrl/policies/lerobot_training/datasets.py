"""What `lerobot-train` reads: one LeRobotDataset, and numbers of its episodes."""

import logging
from collections.abc import Sequence
from pathlib import Path

from ocrrl import files
from ocrrl.datasets.sidecar import read_sidecar


def one_dataset(roots: Sequence[Path], out: Path) -> Path:
    """The dataset of the only one of `roots`, or all of them joined at `out` by LeRobot, in that order.

    Videos are copied as they are. Raises ValueError for datasets whose features or frame rates differ.
    """
    if len(roots) == 1:
        return roots[0]
    if out.is_dir():
        return out
    logging.getLogger("lerobot").setLevel(logging.ERROR)
    from lerobot.datasets.aggregate import aggregate_datasets

    partial = out.with_name(f"{out.name}.partial")
    files.remove(partial)
    try:
        names = [f"ocrrl/part{number}" for number in range(len(roots))]
        aggregate_datasets(names, "ocrrl/episodes", list(roots), partial, concatenate_videos=False)
    except ValueError as error:
        raise ValueError(
            f"datasets {', '.join(map(str, roots))} must have the same features: {str(error)[:200]}"
        ) from error
    files.publish(partial, out)
    return out


def chosen_episodes(parts: Sequence[tuple[Path, list[str] | None]]) -> list[int] | None:
    """The numbers, in the datasets of `parts` put together, of the episodes whose sources are named; None for all.

    Of a dataset without names every episode is taken.
    """
    if all(names is None for _, names in parts):
        return None
    chosen, before = [], 0
    for root, names in parts:
        sources = [entry.source for entry in read_sidecar(root)]
        chosen += [before + number for number, source in enumerate(sources) if names is None or source in set(names)]
        before += len(sources)
    return chosen
