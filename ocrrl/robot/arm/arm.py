"""What the driver of an arm and its gripper offers, on a clock of its own. One cell has one arm.

Poses (7,) are position [m] and wxyz quaternion of the gripper frame in the robot base frame; times [s] are the clock's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float

READY = "ready"
"""Mode of an arm that follows commands; any other mode is the driver's own word for why it does not."""


@dataclass(frozen=True)
class ArmState:
    """The arm as it was measured at `time`."""

    time: float
    gripper_pose: Float[np.ndarray, " 7"]
    joint_positions: Float[np.ndarray, " 7"]
    """[rad]"""
    gripper_width: float
    """Distance between the fingers [m]; nan where the hand is not read."""
    mode: str = READY


@dataclass(frozen=True)
class ArmCommand:
    """Where the gripper frame is to go, and how far the fingers are to open in [0, 1]; good for `time_to_live` [s]."""

    pose: Float[np.ndarray, " 7"]
    opening: float
    issued: float
    time_to_live: float


@dataclass(frozen=True)
class Applied:
    """What became of a command."""

    command: ArmCommand | None
    """As it was sent to the arm; None where it was refused and the arm holds still."""
    changed: tuple[str, ...] = ()
    """The limits that it was pulled back to."""
    refused: str = ""
    """Why it was refused."""


class ArmReader(Protocol):
    """An arm that is read and nothing else; each call returns at once, or raises RuntimeError when it is out of reach."""

    def now(self) -> float:
        """The clock [s]; it never goes back."""
        ...

    def state(self) -> ArmState:
        """The latest measured state."""
        ...

    def close(self) -> None:
        """Let go of the arm."""
        ...


class Arm(ArmReader, Protocol):
    """Every call returns at once, but for `recover` and `home`; each raises RuntimeError when the arm is out of reach."""

    def command(self, command: ArmCommand) -> Applied:
        """Follow `command` until the next one."""
        ...

    def hold(self) -> None:
        """Stay where the arm is now, powered."""
        ...

    def stop(self) -> None:
        """End all motion; nothing is followed until `recover`."""
        ...

    def recover(self) -> None:
        """After a stop or a reflex: be ready again, holding still."""
        ...

    def home(self, joint_positions: Sequence[float]) -> None:
        """Open the fingers and move the joints to `joint_positions` (7,) [rad], slowly."""
        ...

    def close(self) -> None:
        """Stop and let go of the arm."""
        ...
