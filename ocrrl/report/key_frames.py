"""Summary of a folder of episode files, and frames of the first episode of a folder or dataset."""

import json
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import av
import h5py
import numpy as np

from ocrrl.report.page import Figure
from ocrrl.report.strips import filmstrip
from ocrrl.report.table import Table
from ocrrl.report.values import cell_label, seconds
from ocrrl.report.videos import Clip


def recordings_tables(folder: Path) -> tuple[Table, Table]:
    """The episode files in `folder` by cell, and those that cannot be read, with the reason."""
    cells: dict[str, list[tuple[int, bool]]] = defaultdict(list)
    unreadable = []
    for path in sorted(folder.glob("*.h5")):
        try:
            with h5py.File(path) as file:
                steps, success = len(file["action"]), file.attrs.get("success")  # type: ignore[arg-type]
                cells[str(file.attrs.get("cell", ""))].append((steps, bool(success)))
        except (OSError, KeyError) as error:
            unreadable.append((path.name, str(error)))
    rows = []
    for cell, found in cells.items():
        lengths = (seconds(f(steps for steps, _ in found)) for f in (min, median, max))
        rows.append((cell_label(cell), str(len(found)), str(sum(success for _, success in found)), *lengths))
    header = ("cell", "episodes", "successes", "shortest", "median", "longest")
    return Table(header, rows), Table(("episode", "reason"), unreadable, 2, title="Unreadable")


def first_episode(source: Path, what: str) -> list[Figure]:
    """Frames of the first episode in `source`, a folder of episode files or a LeRobotDataset; none where there is none."""
    episode = next(iter(sorted(source.glob("*.h5"))), source if (source / "videos").is_dir() else None)
    caption = f"{what}: frames from its start to its end, evenly spaced; a row a camera."
    return [Figure("image/jpeg", lambda: filmstrip(_clips(episode)), caption, panels=2)] if episode else []


def _clips(episode: Path) -> list[Clip]:
    """What each camera saw of an episode file, or of the first episode of a dataset."""
    if episode.suffix == ".h5":
        with h5py.File(episode) as file:
            images, success = file["images"], file.attrs.get("success")
            assert isinstance(images, h5py.Group)
            ending = None if success is None else bool(success)
            return [Clip(str(camera), np.asarray(images[camera]), ending) for camera in images]
    first: dict[str, Any] = json.loads((episode / "sidecar" / "episodes.json").read_text())[0]
    videos = sorted((episode / "videos").glob("*/chunk-000/file-000.mp4"))
    return [
        Clip(path.parts[-3].rpartition(".")[2], _frames(path, first["length"]), first.get("success")) for path in videos
    ]


def _frames(video: Path, count: int) -> np.ndarray:
    """The first `count` frames (T, H, W, 3)."""
    with av.open(str(video)) as container:
        decoded = zip(range(count), container.decode(video=0), strict=False)
        frames = [frame.to_ndarray(format="rgb24") for _, frame in decoded]
    return np.stack(frames)
