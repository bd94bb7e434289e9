"""Which of a LeRobotDataset's numbers is what, and the episode that they make."""

from collections.abc import Mapping
from dataclasses import dataclass

from ocrrl.config_builder import build
from ocrrl.episodes.source_episode import Reading
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.recordings.meaning.episode_meaning import reading_of
from ocrrl.recordings.meaning.foreign_mapping import ForeignMapping
from ocrrl.recordings.meaning.raw_episode import RawEpisode


@dataclass(frozen=True, kw_only=True)
class LeRobotMapping(ForeignMapping):
    """Selections are of the dataset's features, such as `observation.state[x,y,z]`; `images` names features, too.

    The gripper's command is taken for 0 closed and 1 open where neither is declared, unless the measured width tells
    another range.
    """

    operator: str = "lerobot-record"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.actions == "deltas") != (self.steps is not None):
            raise ValueError(f"steps must be declared for actions: deltas and only then, got {self.steps!r}")

    @classmethod
    def from_params(cls, mapping: Mapping[str, object]) -> "LeRobotMapping":
        """From the `mapping` section of params.yaml; ValueError names unknown, missing and wrong values."""
        return build(cls, mapping, "mapping", complete=False)


def episode_of(raw: RawEpisode, task: TabletopTask, mapping: LeRobotMapping) -> Reading:
    """The episode that `mapping` finds in `raw`; raises `EpisodeRejected`."""
    return reading_of(raw, task, mapping)
