"""Replayed demonstrations as transitions: what the residual stage turns into its offline buffer.

Stored as one Zarr v3 group: every array concatenated over the episodes, with their lengths.
Legend: T steps of an episode, O tracked objects.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8

from ocrrl import files
from ocrrl.interface.observations import Observation

FORMAT_VERSION = 1
_CHUNK_BYTES = 64_000_000


@dataclass
class ReplayEpisode:
    """One demonstration's actions as they went in the training simulator."""

    source: str
    """The name of the file they came from."""
    observation: Observation
    """N = T + 1 rows: before each action, and after the last."""
    images: dict[str, UInt8[np.ndarray, "T H W 3"]]
    """Before each action, by camera name."""
    action: Float[np.ndarray, "T 7"]
    reward: Float[np.ndarray, " T"]
    success: Bool[np.ndarray, " T"]
    """After each action; at most the last is True."""


def write_replay_transitions(path: Path, episodes: Sequence[ReplayEpisode]) -> None:
    """Write `episodes` as a Zarr v3 group at `path`, whole or not at all; the same bytes for the same episodes.

    Raises ValueError if there is none.
    """
    import zarr

    if not episodes:
        raise ValueError(f"{path} must hold at least one episode, got none")
    work = path.with_name(f".{path.name}.partial")
    shutil.rmtree(work, ignore_errors=True)
    work.parent.mkdir(parents=True, exist_ok=True)
    group = zarr.open_group(str(work), mode="w", zarr_format=3)
    group.attrs.update({"format_version": FORMAT_VERSION, "sources": [episode.source for episode in episodes]})
    arrays = {"lengths": np.array([len(episode.action) for episode in episodes])}
    for name in ("action", "reward", "success"):
        arrays[name] = np.concatenate([getattr(episode, name) for episode in episodes])
    for name in episodes[0].observation.arrays():
        arrays[f"observation/{name}"] = np.concatenate([getattr(episode.observation, name) for episode in episodes])
    for camera in sorted(episodes[0].images):
        arrays[f"images/{camera}"] = np.concatenate([episode.images[camera] for episode in episodes])
    for name, values in arrays.items():
        rows = max(1, min(len(values), _CHUNK_BYTES // max(1, values[0].nbytes)))
        group.create_array(name, data=values, chunks=(rows, *values.shape[1:]))
    files.publish(work, path)


def read_replay_transitions(path: Path) -> list[ReplayEpisode]:
    """The episodes of the Zarr group at `path`; ValueError for a newer format_version."""
    import zarr

    group = zarr.open_group(str(path), mode="r")
    attributes: dict = dict(group.attrs)
    if attributes["format_version"] > FORMAT_VERSION:
        got = attributes["format_version"]
        raise ValueError(f"{path}: format_version must be at most {FORMAT_VERSION}, got {got}")
    arrays = {
        name: np.asarray(array[...]) for name, array in group.members(max_depth=1) if isinstance(array, zarr.Array)
    }
    steps = np.cumsum(arrays["lengths"])[:-1]
    rows = np.cumsum(arrays["lengths"] + 1)[:-1]
    split = {name: np.split(arrays[name], steps) for name in ("action", "reward", "success")}
    observed = {
        name.removeprefix("observation/"): np.split(values, rows)
        for name, values in arrays.items()
        if name.startswith("observation/")
    }
    cameras = sorted(name.removeprefix("images/") for name in arrays if name.startswith("images/"))
    images = {camera: np.split(arrays[f"images/{camera}"], steps) for camera in cameras}
    return [
        ReplayEpisode(
            source=source,
            observation=Observation(**{name: parts[k] for name, parts in observed.items()}),
            images={camera: parts[k] for camera, parts in images.items()},
            **{name: parts[k] for name, parts in split.items()},
        )
        for k, source in enumerate(attributes["sources"])
    ]
