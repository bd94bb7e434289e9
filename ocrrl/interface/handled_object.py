"""What of a tabletop task's first tracked object the hand grasps or pushes: for judging what went wrong in an episode."""

from dataclasses import dataclass

from ocrrl.interface.tabletop_tasks import Vector3


@dataclass(frozen=True)
class Graspable:
    """Where the first tracked object can be grasped: a line through its origin, in its own frame."""

    axis: Vector3
    half_length: float
    """[m]; 0 for a point."""


@dataclass(frozen=True)
class Pushable:
    """The face of the first tracked object, which slides in the second one; their frames are parallel."""

    opening_axis: Vector3
    """Out of the face, in the drawer's frame."""
    half_width: float
    """[m] across, of the middle of the face, where the hand can close the drawer."""
    half_height: float
    """[m] up, likewise."""
