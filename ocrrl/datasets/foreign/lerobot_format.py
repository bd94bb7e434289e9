"""The episodes of LeRobotDatasets v3, such as `lerobot-record` writes, found and read by a declared mapping of keys."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from ocrrl.datasets.decoded_frames import DecodedDataset, count_episodes, decode_dataset
from ocrrl.datasets.episode_checks import EpisodeRejected, EpisodeRequirements, check_episode
from ocrrl.datasets.foreign.lerobot_mapping import LeRobotMapping, episode_of
from ocrrl.datasets.foreign.raw_episode import RawEpisode
from ocrrl.datasets.foreign.source_episode import Reading, SourceEpisode, refused
from ocrrl.datasets.validation import check_location
from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.interface.tabletop_tasks import TabletopTask


def lerobot_episodes(folder: Path, task: TabletopTask, mapping: LeRobotMapping) -> Iterator[SourceEpisode]:
    """Every episode of the dataset at `folder`, or of the datasets in the folders below it, in order."""
    roots = sorted(info.parent.parent for info in folder.glob("**/meta/info.json"))
    for root in roots:
        name = root.relative_to(folder).as_posix() if root != folder else folder.name
        try:
            for path in sorted((*root.glob("meta/**/*"), *root.glob("data/**/*"), *root.glob("videos/**/*"))):
                if path.is_symlink() or path.is_file():
                    check_location(path, folder)
            with _named_faults():
                count = count_episodes(root)
        except EpisodeRejected as reason:
            yield refused(name, root / "meta/info.json", reason)
            continue
        for number in range(count):
            source = f"{name.replace('/', '__')}-episode_{number:06d}.h5"
            load = partial(_load, root, number, task, mapping)
            yield SourceEpisode(source, f"{name}:{number}", root / "meta/info.json", load)


def _load(
    root: Path, number: int, task: TabletopTask, mapping: LeRobotMapping, expected: EpisodeRequirements
) -> Reading:
    with _named_faults():
        dataset = decode_dataset(root, [number])
    if mapping.actions == "deltas" and dataset.fps != CONTROL_HZ:
        raise EpisodeRejected("fps", f"{CONTROL_HZ} for actions: deltas (or use from_poses)", f"{dataset.fps:g}")
    raw = RawEpisode(
        columns={"observation.state": dataset.state, "action": dataset.action} | dataset.columns,
        names=dataset.names,
        images={camera: _frames(dataset, camera, key) for camera, key in mapping.images.items()},
        instruction=dataset.tasks[0],
        fps=float(dataset.fps),
    )
    reading = episode_of(raw, task, mapping)
    check_episode(reading.episode, expected)
    return reading


@contextmanager
def _named_faults() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise EpisodeRejected("dataset", "a readable LeRobotDataset v3", f"{type(error).__name__}: {error}") from error


def _frames(dataset: DecodedDataset, camera: str, key: str) -> np.ndarray:
    name = key.removeprefix("observation.images.")
    if name not in dataset.images:
        raise EpisodeRejected(f"images.{camera}", f"one of {', '.join(sorted(dataset.images))}", key)
    return dataset.images[name][:]
