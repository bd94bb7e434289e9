"""Exports a LeRobotDataset v3 of ours as v2.1, episode by episode, with meta/ocrrl.json and the files of the trainers.

Legend: T frames of an episode, R rows of it that are written.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow.parquet as pq
from jaxtyping import Float, UInt8
from tqdm import tqdm

from ocrrl import files
from ocrrl.config_builder import values_of
from ocrrl.datasets.export.lerobot_v21 import ExportedEpisode, V21Writer, whole_folder
from ocrrl.datasets.frames.decoded_frames import decode_dataset
from ocrrl.datasets.sidecar import SidecarEpisode, read_sidecar
from ocrrl.datasets.video_file import VideoEncoding
from ocrrl.interface.actions import ACTION_DIM, CONTROL_HZ
from ocrrl.interface.lerobot_keys import ACTION_KEY, STATE_KEY
from ocrrl.interface.observations import PROPRIOCEPTION_DIM


class Rows(Protocol):
    """Rows to write (`ocrrl.policies.action_forms.columns.DemonstratedRows`)."""

    @property
    def at(self) -> Float[np.ndarray, " R"]: ...

    @property
    def state(self) -> Float[np.ndarray, "R s"]: ...

    @property
    def action(self) -> Float[np.ndarray, "R a"]: ...


@dataclass(frozen=True)
class Plan:
    """What is exported, and how."""

    source: Path
    fps: int
    state_names: Sequence[str]
    action_names: Sequence[str]
    convert: Callable[[np.ndarray, np.ndarray, np.ndarray | None], Rows]
    """State (T, 8), action (T, 7) and joints (T, 7) or None of an episode, to its rows."""
    encoding: VideoEncoding
    chosen: Sequence[str] | None = None
    """The sources in the sidecar that are taken; None: every episode."""
    joints: Callable[[SidecarEpisode], np.ndarray] | None = None
    """The recorded joints (T, 7) [rad] of an episode, where they are needed."""
    fit: Callable[[str, UInt8[np.ndarray, "H W 3"]], UInt8[np.ndarray, "h w 3"]] | None = None
    """Brings a camera's picture to another size."""


@dataclass(frozen=True)
class Written:
    """What an export holds."""

    cameras: tuple[str, ...]
    frames: int
    episodes: int
    listed: tuple[dict, ...]
    """The sidecar's entries; empty where the dataset has no sidecar."""


def export(
    plan: Plan,
    out: Path,
    describe: Callable[[Path, Written], None],
    progress: bool = True,
) -> Written:
    """Write the dataset of `plan` to the folder `out`, which must not exist; `describe` adds files before it is published.

    Raises FileExistsError where `out` is there; ValueError naming the dataset, and the episode, for rows of another robot, for
    pictures of mixed sizes, and for `chosen` episodes that are not there.
    """
    numbers, listed = _episodes(plan)
    with whole_folder(out) as work:
        names = {STATE_KEY: plan.state_names, ACTION_KEY: plan.action_names}
        writer, frames, cameras = V21Writer(work, plan.fps, names, plan.encoding), 0, ()
        for number in tqdm(numbers, "export", disable=not progress, unit="episode"):
            entry = listed[number] if listed else None
            what = f"{plan.source}: {entry.source if entry else f'episode {number}'}"
            episode = _episode(plan, number, entry, what)
            writer.add(episode, what)
            frames, cameras = frames + len(episode.action), tuple(sorted(episode.images))
        writer.finish()
        written = Written(cameras, frames, len(numbers), tuple(values_of(listed[n]) for n in numbers) if listed else ())
        describe(work, written)
    return written


def _episodes(plan: Plan) -> tuple[list[int], list[SidecarEpisode]]:
    """The numbers of the episodes to write, and the sidecar."""
    table = pq.read_table(plan.source / "meta/episodes", columns=["episode_index"])
    numbers = sorted(table["episode_index"].to_pylist())
    try:
        listed = read_sidecar(plan.source)
    except FileNotFoundError:
        if plan.chosen is not None or plan.joints is not None:
            raise ValueError(
                f"{plan.source} must have a sidecar that names its episodes, got none: it was not made by `ocrrl ingest`"
            ) from None
        return numbers, []
    if plan.chosen is not None:
        present = [entry.source for entry in listed]
        if missing := sorted(set(plan.chosen) - set(present)):
            raise ValueError(f"{plan.source} must hold the episodes {', '.join(missing)}, got {', '.join(present)}")
        numbers = [number for number in numbers if listed[number].source in set(plan.chosen)]
    return numbers, listed


def _episode(plan: Plan, number: int, entry: SidecarEpisode | None, what: str) -> ExportedEpisode:
    data = decode_dataset(plan.source, episodes=[number])
    for name, values, width in (("state", data.state, PROPRIOCEPTION_DIM), ("action", data.action, ACTION_DIM)):
        if values.shape[1] != width:
            raise ValueError(f"{what}: {name} must have {width} numbers a frame, got {values.shape[1]}")
    if data.fps != CONTROL_HZ:
        raise ValueError(f"{plan.source}: fps must be {CONTROL_HZ}, got {data.fps:g}")
    joints = plan.joints(entry) if plan.joints and entry else None
    if joints is not None and len(joints) != len(data.action):
        raise ValueError(f"{what} must have {len(data.action)} rows of joints, got {len(joints)}")
    try:
        rows = plan.convert(data.state, data.action, joints)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error
    nearest = np.minimum(np.floor(rows.at + 0.5).astype(int), len(data.action) - 1)
    images = {camera: np.asarray(frames)[nearest] for camera, frames in data.images.items()}
    if plan.fit is not None:
        images = {camera: np.stack([plan.fit(camera, frame) for frame in frames]) for camera, frames in images.items()}
    return ExportedEpisode(data.tasks[0], rows.state, rows.action, images)


def write_files(folder: Path, contents: Mapping[str, str]) -> None:
    """Write texts by their paths in `folder`."""
    for name, text in contents.items():
        files.write_bytes(folder / name, text.encode())
