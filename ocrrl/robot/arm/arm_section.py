"""A cell file's section on the arm; docs/cell_file.md explains every key."""

from dataclasses import dataclass

from ocrrl.config_builder import shown

COLLISION_CEILINGS = {"collision_torque": 40.0, "collision_force": 60.0}
"""[Nm], [N]: what no cell file may go beyond, twice what franky sets by itself."""


@dataclass(frozen=True)
class ArmSection:
    """The arm and its hand."""

    host: str
    """Address of the robot's control box."""
    enforce_realtime: bool = True
    """False without a real-time kernel; the robot then stops more often for want of commands."""
    collision_torque: float = 20.0
    """[Nm] about any joint from which on the robot itself stops for a collision (a reflex)."""
    collision_force: float = 30.0
    """[N, Nm] at the hand, likewise."""

    def __post_init__(self) -> None:
        require_one_word("host", self.host, "the robot's address")
        for name, most in COLLISION_CEILINGS.items():
            if not 0 < getattr(self, name) <= most:
                raise ValueError(f"{name} must be above 0 and at most {most:g}, got {getattr(self, name)}")


def require_one_word(name: str, text: str, meaning: str) -> None:
    """ValueError unless `text` is one printable word."""
    if not text or not text.isprintable() or text.split() != [text]:
        raise ValueError(f"{name} must be {meaning}, one word, got {shown(text)}")
