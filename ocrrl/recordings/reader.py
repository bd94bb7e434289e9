"""Finds and reads recordings of any accepted format; runs in the child process."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from ocrrl.episodes.episode_checks import EpisodeRequirements
from ocrrl.episodes.image_checks import check_images
from ocrrl.episodes.source_episode import Reading, SourceEpisode
from ocrrl.episodes.validation import Glance, glance_at_recording, read_own_recording
from ocrrl.interface.episode import Episode
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.recordings.folder import name_in

SOURCE_FORMATS = ("ocrrl", "robomimic", "lerobot")


@dataclass(frozen=True)
class Found:
    """A recording that has been found: `SourceEpisode` without the means to read it."""

    container: Path
    """The HDF5 file, or the LeRobotDataset's folder."""
    index: int
    """Among those of its container."""
    source: str
    origin: str
    path: Path
    left_out: str


class RecordingReader:
    """The recordings of `folder` in one format, a container (file or dataset) at a time."""

    def __init__(self, folder: Path, task: TabletopTask, source_format: str, mapping: Mapping[str, object], split: str):
        self._folder, self._task = folder, task
        self._format, self._mapping, self._split = source_format, mapping, split
        self._listed: dict[Path, list[SourceEpisode]] = {}

    def find(self, container: Path) -> list[Found]:
        """The recordings in `container`. One that cannot be opened is among them: reading it says why."""
        return [
            Found(container, index, episode.source, episode.origin, episode.path, episode.left_out)
            for index, episode in enumerate(self._list(container))
        ]

    def glance(self, path: Path, expected: EpisodeRequirements) -> Glance:
        """What `path` declares. Raises `EpisodeRejected` for what cannot be accepted as far as its attributes go."""
        return glance_at_recording(path, self._folder, expected)

    def read(self, container: Path, index: int, expected: EpisodeRequirements) -> tuple[Reading, str]:
        """The recording, and a hash of its rows and images. Raises `EpisodeRejected`."""
        reading = self._list(container)[index].load(expected)
        return reading, hash_of_rows(reading.episode)

    def _list(self, container: Path) -> list[SourceEpisode]:
        if container not in self._listed:
            self._listed[container] = list(self._episodes(container))
        return self._listed[container]

    def _episodes(self, container: Path) -> Iterator[SourceEpisode]:
        if self._format == "robomimic":
            from ocrrl.recordings.robomimic.robomimic_format import robomimic_episodes
            from ocrrl.recordings.robomimic.robomimic_mapping import RobomimicMapping

            mapping = RobomimicMapping.from_params(self._mapping)
            yield from robomimic_episodes(container, self._folder, self._task, mapping, self._split)
        elif self._format == "lerobot":
            from ocrrl.recordings.lerobot.lerobot_format import lerobot_episodes
            from ocrrl.recordings.lerobot.lerobot_mapping import LeRobotMapping

            mapping = LeRobotMapping.from_params(self._mapping)
            yield from lerobot_episodes(container, self._folder, self._task, mapping, self._split)
        else:
            name = name_in(container, self._folder)
            yield SourceEpisode(name, name, container, partial(_read_own, container, self._folder))


def _read_own(path: Path, folder: Path, expected: EpisodeRequirements) -> Reading:
    reading = read_own_recording(path, folder, expected)
    episode = reading.episode
    notes = check_images(episode.images, episode.gripper_pose, expected.still_cameras)
    return replace(reading, notes=(*reading.notes, *notes))


def hash_of_rows(episode: Episode) -> str:
    """The same for two episodes of the same rows and images, whatever their attributes and times say."""
    digest = hashlib.blake2b(digest_size=16)
    rows = (episode.gripper_pose, episode.joint_positions, episode.gripper_width, episode.action)
    for values in (*rows, *(episode.images[camera] for camera in sorted(episode.images))):
        digest.update(repr(values.shape).encode())
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()
