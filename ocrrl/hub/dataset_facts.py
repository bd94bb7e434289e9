"""What a dataset's folder holds: a LeRobotDataset v3, or episodes in files of our format."""

from collections.abc import Mapping
from dataclasses import dataclass, field

LEROBOT, HDF5 = "LeRobotDataset", "HDF5 episodes"


@dataclass(frozen=True)
class EpisodeFact:
    """One episode; None for what nothing tells."""

    source: str
    """The file in the folder, or that it was read from."""
    kind: str
    operator: str
    cell: str
    success: bool
    seed: int | None
    steps: int


@dataclass(frozen=True)
class DatasetFacts:
    """The content of one folder."""

    format: str
    """`LeRobotDataset v3.0` or `HDF5 episodes`."""
    episodes: tuple[EpisodeFact, ...]
    """Empty where a LeRobotDataset has no sidecar."""
    count: int
    """Episodes."""
    frames: int
    """Control steps."""
    hz: float
    cameras: Mapping[str, tuple[int, int]]
    """Height and width by camera."""
    instructions: tuple[str, ...] = ()
    columns: Mapping[str, tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    """Type and shape by column of the parquet files; none of episodes in HDF5."""
    statistics: Mapping[str, Mapping[str, list[float]]] = field(default_factory=dict)
    """`min`, `max`, `mean`, `std` by column, as LeRobot normalises with."""
    names: Mapping[str, list[str]] = field(default_factory=dict)
    """Of the components of the columns in `statistics`."""

    @property
    def is_lerobot(self) -> bool:
        return self.format.startswith(LEROBOT)

    @property
    def cells(self) -> set[str]:
        return {episode.cell for episode in self.episodes}
