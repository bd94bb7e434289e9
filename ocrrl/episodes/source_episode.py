"""One recording of any format during ingestion."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ocrrl.episodes.episode_checks import EpisodeRejected, EpisodeRequirements
from ocrrl.interface.episode import Episode


@dataclass(frozen=True)
class Reading:
    """An episode that was read, and what a person should know of how."""

    episode: Episode
    notes: tuple[str, ...] = ()
    """Lines such as `images.front: 480 x 640 made 64 x 64`; the same line for every episode that it is true of."""
    other_images: bool = False
    """Whether the images are others than those of a file of our format: resized, or without one of its cameras."""


@dataclass(frozen=True)
class SourceEpisode:
    """A recording that has been found and not yet read."""

    source: str
    """What the episode is called in datasets and reports: a file name of our format, no other recording's."""
    origin: str
    """Where it is, for people: a file's name, or `<file>:<demo>`."""
    path: Path
    """The file that holds it."""
    load: Callable[[EpisodeRequirements], Reading]
    """Reads and checks it; raises `EpisodeRejected`."""
    left_out: str = ""
    """Why it is not asked for, such as `not in split train`; it is then said, and neither read nor counted as refused."""


def refused(origin: str, path: Path, reason: EpisodeRejected) -> SourceEpisode:
    """A recording that cannot even be opened: reading it raises `reason`."""

    def load(expected: EpisodeRequirements) -> Reading:
        raise reason

    return SourceEpisode(origin, origin, path, load)
