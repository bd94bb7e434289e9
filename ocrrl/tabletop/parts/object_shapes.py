"""Shapes of tracked objects: primitives in the object's frame, colour, resting poses.

Lengths in metres, quaternions wxyz. Tests hold each tabletop task's shapes to the simulator's geoms.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from ocrrl.interface import rotations
from ocrrl.interface.tabletop_tasks import Vector3

Quaternion = tuple[float, float, float, float]
UPRIGHT: Quaternion = (1.0, 0.0, 0.0, 0.0)
ON_END: Quaternion = (float(np.sqrt(0.5)), 0.0, float(np.sqrt(0.5)), 0.0)
UPSIDE_DOWN: Quaternion = (0.0, 0.0, 1.0, 0.0)
RIM_POINTS = 12


@dataclass(frozen=True)
class Box:
    """Axes along the object's, `centre` in its frame."""

    half_size: Vector3
    centre: Vector3 = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        _require_positive("a box's half sizes", *self.half_size)

    def corners(self) -> Float[np.ndarray, "8 3"]:
        """The points that touch a table first."""
        signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
        return np.asarray(self.centre) + signs * self.half_size


@dataclass(frozen=True)
class TruncatedCone:
    """About the object's z axis; a cylinder where the radii are equal."""

    bottom_radius: float
    top_radius: float
    half_height: float
    centre: Vector3 = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        _require_positive("a cone's radii and half height", self.bottom_radius, self.top_radius, self.half_height)

    def corners(self) -> Float[np.ndarray, "24 3"]:
        """Points of both rims."""
        return np.asarray(self.centre) + np.concatenate(
            [_circle(self.bottom_radius, -self.half_height), _circle(self.top_radius, self.half_height)]
        )


@dataclass(frozen=True)
class Ring:
    """A wall of `thickness` about the object's z axis; `radius` is to its middle."""

    radius: float
    thickness: float
    half_height: float
    centre: Vector3 = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        _require_positive("a ring's radius, thickness and half height", self.radius, self.thickness, self.half_height)

    def corners(self) -> Float[np.ndarray, "24 3"]:
        """Points of both rims."""
        outer = self.radius + self.thickness / 2
        return np.asarray(self.centre) + np.concatenate(
            [_circle(outer, -self.half_height), _circle(outer, self.half_height)]
        )


Primitive = Box | TruncatedCone | Ring


@dataclass(frozen=True)
class Slide:
    """A part that only slides in another tracked object, in one of several places. Its first primitive is its face, a box."""

    within: str
    """The tracked object it slides in; both frames have the same axes."""
    closed: tuple[Vector3, ...]
    """Where its origin may be when it is closed, in the frame of `within`."""
    axis: Vector3
    travel: float
    """[m]"""
    front: int
    """Number of the primitive of `within`, a box, that shows the closed parts."""


@dataclass(frozen=True)
class ObjectShape:
    """One tracked object."""

    primitives: tuple[Primitive, ...]
    """Their union is the object."""
    colour: tuple[float, float, float]
    """RGB in [0, 1], approximate: light and camera are not known."""
    resting: tuple[Quaternion, ...] = (UPRIGHT,)
    """Orientations in which it may lie on the table, any yaw added."""
    yaw_range: float = float(np.pi)
    """[rad] either side of the resting orientation, for an object that is never turned further."""
    ends: Literal["alike", "differ"] = "alike"
    """Whether it is mistaken for itself turned end over end about y: a tracker then tries both."""
    stands: bool = False
    """Whether it always stands on the table: it may then only be moved across it and turned about the vertical."""
    slide: Slide | None = None

    def __post_init__(self) -> None:
        if not self.primitives or not all(0.0 <= part <= 1.0 for part in self.colour):
            raise ValueError(f"an object's shape needs a primitive and a colour in [0, 1], got {self}")
        if self.slide is not None and not isinstance(self.primitives[0], Box):
            raise ValueError(
                f"the first primitive of a part that slides must be its face, a Box, got {self.primitives[0]}"
            )

    def corners(self) -> Float[np.ndarray, "C 3"]:
        """The points that touch a table first."""
        return np.concatenate([primitive.corners() for primitive in self.primitives])

    def height_at_rest(self, quaternion: Float[np.ndarray, " 4"]) -> float:
        """Height of the origin above the table that an object turned by `quaternion` lies on."""
        return -float(rotations.rotate(quaternion, self.corners())[:, 2].min())


def _circle(radius: float, height: float) -> np.ndarray:
    angle = 2.0 * np.pi * np.arange(RIM_POINTS) / RIM_POINTS
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle), np.full(RIM_POINTS, height)])


def _require_positive(subject: str, *values: float) -> None:
    if min(values) <= 0.0:
        raise ValueError(f"{subject} must be above 0 m, got {values}")
