"""One recording on its way in, whatever format it is in."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ocrrl.datasets.episode import Episode
from ocrrl.datasets.episode_checks import EpisodeRejected, EpisodeRequirements


@dataclass(frozen=True)
class SourceEpisode:
    """A recording that has been found and not yet read."""

    source: str
    """What the episode is called in datasets and reports: a file name of our format."""
    origin: str
    """Where it is, for people: a file's name, or `<file>:<demo>`."""
    path: Path
    """The file that holds it."""
    load: Callable[[EpisodeRequirements], Episode]
    """Reads and checks it; raises `EpisodeRejected`."""


def refused(origin: str, path: Path, reason: EpisodeRejected) -> SourceEpisode:
    """A recording that cannot even be opened: reading it raises `reason`."""

    def load(expected: EpisodeRequirements) -> Episode:
        raise reason

    return SourceEpisode(origin, origin, path, load)
