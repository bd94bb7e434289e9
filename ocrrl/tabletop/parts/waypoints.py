"""Plan of a demonstration: a sequence of gripper waypoints."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ocrrl.tabletop.parts.scene import SceneState


@dataclass(frozen=True)
class Waypoint:
    """Where to bring the gripper: pose (7,) in the base frame, opening in [0, 1], steps to stay there once arrived."""

    pose: np.ndarray
    opening: float
    dwell: int = 0


class WaypointPlan(Protocol):
    """A tabletop task's plan for one episode, made from the true state of environment `env`."""

    def __call__(self, state: SceneState, env: int, generator: np.random.Generator) -> list[Waypoint]: ...
