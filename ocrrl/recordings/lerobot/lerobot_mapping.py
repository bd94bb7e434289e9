"""The mapping of a LeRobotDataset."""

from dataclasses import dataclass

from ocrrl.recordings.meaning.foreign_mapping import ForeignMapping


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
