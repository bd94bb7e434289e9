"""What every pose estimator offers, ours or a client of another: one estimate a frame, with a confidence it can be held to."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float

from ocrrl.perception.frames import Frame


@dataclass(frozen=True)
class RobotPosture:
    """Where the arm was when a frame was taken, to know which pixels are the robot's and what it holds."""

    joint_positions: Float[np.ndarray, " 7"]
    """[rad]"""
    gripper_width: float
    """Distance between the fingers [m]."""


@dataclass(frozen=True)
class PoseEstimate:
    """The tracked objects of a tabletop task, as they were at `captured`."""

    captured: float
    """The frame's time [s]."""
    poses: Float[np.ndarray, "O 7"]
    """Canonical: position [m], wxyz, robot base frame; the last known one of an object that is lost."""
    confidence: Float[np.ndarray, " O"]
    """Probability that the pose is within 10 mm and 10 deg, in [0, 1]; 0 for an object that is lost."""


class ObjectTracker(Protocol):
    """Finds and follows the objects of one tabletop task; called from one thread, a frame after the other."""

    def reset(self) -> None:
        """Forget the objects: the next frame registers them anew."""
        ...

    def track(self, frame: Frame, robot: RobotPosture) -> PoseEstimate:
        """The objects in `frame`."""
        ...

    def close(self) -> None:
        """Let go of what it works with; nothing is tracked after it."""
        ...
