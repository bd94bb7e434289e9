"""The parameters of `ingest`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ocrrl.episodes.image_fit import FITS
from ocrrl.recordings.lerobot.lerobot_mapping import LeRobotMapping
from ocrrl.recordings.meaning.foreign_mapping import UNKNOWN, open_keys
from ocrrl.recordings.reader import SOURCE_FORMATS
from ocrrl.recordings.robomimic.robomimic_mapping import RobomimicMapping

ON_REJECTED = ("fail", "warn")


@dataclass(frozen=True)
class IngestConfig:
    """Which recordings to take, and what to make of the refused ones."""

    source_format: str = "ocrrl"
    on_rejected: str = "fail"
    """`fail`: the good ones are kept and the exit code is not zero; `warn`: the exit code is zero."""
    require_success: bool = True
    """Refuse recordings whose label is failure."""
    cells: tuple[str, ...] = ()
    """The cells that may be mixed; none named: all must come from the one that most recordings are of."""
    image_fit: str = "pad"
    """How images of another size are brought to the cell's: `pad` keeps all of an image, `crop` its middle."""
    split: str = "train"
    """Of a foreign dataset that names splits or masks, the one to take; one that names none is taken whole, as with ''."""
    still_cameras: tuple[str, ...] = ()
    """Cameras that may show the same image throughout, or black; any other such camera refuses its episode."""
    max_episode_gb: float = 2.0
    """What one episode may take in memory, decoded [10^9 bytes]; files that declare more are refused before they are read."""
    mapping: Mapping[str, object] = field(default_factory=dict)
    """Where the fields are in a foreign format: `RobomimicMapping` or `LeRobotMapping`."""

    def __post_init__(self) -> None:
        if self.source_format not in SOURCE_FORMATS:
            raise ValueError(f"source_format must be one of {', '.join(SOURCE_FORMATS)}, got {self.source_format!r}")
        if self.on_rejected not in ON_REJECTED:
            raise ValueError(f"on_rejected must be one of {', '.join(ON_REJECTED)}, got {self.on_rejected!r}")
        if self.image_fit not in FITS:
            raise ValueError(f"image_fit must be one of {', '.join(FITS)}, got {self.image_fit!r}")
        if not 0.01 <= self.max_episode_gb <= 1000:
            raise ValueError(f"max_episode_gb must be in [0.01, 1000], got {self.max_episode_gb:g}")
        for name in ("cells", "still_cameras"):
            if not all(isinstance(item, str) and item for item in getattr(self, name)):
                raise ValueError(f"{name} must be names, got {list(getattr(self, name))!r}")
        if self.source_format == "ocrrl" and self.mapping:
            raise ValueError(f"mapping must be empty for source_format ocrrl, got {', '.join(sorted(self.mapping))}")
        if unfilled := open_keys(self.mapping):
            raise ValueError(f"mapping.{unfilled[0]} must be filled in, got {UNKNOWN}, which only a person can replace")
        if self.source_format == "robomimic":
            RobomimicMapping.from_params(self.mapping)
        if self.source_format == "lerobot":
            LeRobotMapping.from_params(self.mapping)
