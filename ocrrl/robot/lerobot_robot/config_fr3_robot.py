"""`--robot.type=fr3`: which cell, and which of its cameras."""

from dataclasses import dataclass, field
from pathlib import Path

from lerobot.robots.config import RobotConfig

from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.layout import WORK

CALIBRATION = WORK / "lerobot_calibration"
"""LeRobot makes this folder and puts nothing of ours in it; its default is in the user's home."""


@dataclass
class ImageConfig:
    """The images of one of the cell's cameras, in pixels."""

    width: int
    height: int
    fps: int = CONTROL_HZ


@RobotConfig.register_subclass("fr3")
@dataclass(kw_only=True)
class FR3RobotConfig(RobotConfig):
    """What `FR3Robot` is made from; LeRobot finds that class by this one's name."""

    cell: Path
    """The cell's file."""
    cameras: dict[str, ImageConfig] = field(default_factory=dict)
    """By the cell's own camera names; the sizes must be the cameras'."""
    tabletop_task: str = "cube_lift"
    session: str = "lerobot"
    episodes: int = 50
    """What an operator approves: motion for this tabletop task, in a session of this name, so many episodes at most."""
    longest_pause: float = 120.0
    """For which the arm holds and waits [s], while LeRobot saves an episode; after that it is stopped for good."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.longest_pause > 0:
            raise ValueError(f"longest_pause must be above 0 s, got {self.longest_pause}")
        self.calibration_dir = self.calibration_dir or CALIBRATION
