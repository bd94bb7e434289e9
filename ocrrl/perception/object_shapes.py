"""What the tracked objects look like to a geometric tracker: primitives in the object's frame, colours, how they rest.

Lengths in metres, quaternions wxyz. Tests hold the shapes to the simulator's; a user's own object gets its entry here.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from ocrrl.interface import rotations
from ocrrl.interface.tabletop_tasks import (
    CLOSE_DRAWER,
    CUBE_LIFT,
    PICK_AND_PLACE,
    STACK_CUBE,
    STAND_CUP_UP,
    TabletopTask,
    Vector3,
)

Quaternion = tuple[float, float, float, float]
UPRIGHT: Quaternion = (1.0, 0.0, 0.0, 0.0)
_HALF = float(np.sqrt(0.5))
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


def shapes_of(task: TabletopTask) -> dict[str, ObjectShape]:
    """The shapes of the task's tracked objects by name, in their order; ValueError where one has none."""
    known = OBJECT_SHAPES.get(task.slug, {})
    missing = [tracked.name for tracked in task.objects if tracked.name not in known]
    if missing:
        raise ValueError(
            f"tabletop task {task.slug!r} needs the shape of {', '.join(missing)}: "
            "add it to OBJECT_SHAPES in ocrrl/perception/object_shapes.py"
        )
    return {tracked.name: known[tracked.name] for tracked in task.objects}


def _circle(radius: float, height: float) -> np.ndarray:
    angle = 2.0 * np.pi * np.arange(RIM_POINTS) / RIM_POINTS
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle), np.full(RIM_POINTS, height)])


def _require_positive(subject: str, *values: float) -> None:
    if min(values) <= 0.0:
        raise ValueError(f"{subject} must be above 0 m, got {values}")


_WOOD, _RED, _WHITE, _GREEN, _CUP_RED = (
    (0.72, 0.46, 0.24),
    (0.80, 0.13, 0.11),
    (0.93, 0.93, 0.92),
    (0.10, 0.55, 0.20),
    (0.78, 0.10, 0.12),
)
_ON_END: Quaternion = (_HALF, 0.0, _HALF, 0.0)
_UPSIDE_DOWN: Quaternion = (0.0, 0.0, 1.0, 0.0)
_CABINET_DEPTH, _FACE, _DRAWER_HEIGHT, _DRAWERS = 0.35, 0.016, 0.0564, 5

OBJECT_SHAPES: dict[str, dict[str, ObjectShape]] = {
    CUBE_LIFT.slug: {"cuboid": ObjectShape((Box((0.06, 0.02, 0.02)),), _WOOD, (UPRIGHT, _ON_END))},
    PICK_AND_PLACE.slug: {
        "cuboid": ObjectShape((Box((0.04, 0.02, 0.02)),), _RED, (UPRIGHT, _ON_END)),
        "bowl": ObjectShape(
            (TruncatedCone(0.095, 0.095, 0.001, (0.0, 0.0, 0.001)), Ring(0.095, 0.002, 0.005, (0.0, 0.0, 0.005))),
            _WHITE,
        ),
    },
    STACK_CUBE.slug: {
        "white_cube": ObjectShape((Box((0.02, 0.02, 0.02)),), _WHITE),
        "green_cube": ObjectShape((Box((0.02, 0.02, 0.02)),), _GREEN),
    },
    STAND_CUP_UP.slug: {
        "cup": ObjectShape(
            (TruncatedCone(0.025, 0.0375, 0.05),), _CUP_RED, (_ON_END, UPRIGHT, _UPSIDE_DOWN), ends="differ"
        ),
    },
    CLOSE_DRAWER.slug: {
        "drawer": ObjectShape(
            (
                Box((0.132, _FACE / 2, _DRAWER_HEIGHT / 2 - 0.002), (0.0, _FACE / 2, 0.0)),
                Box((0.123, 0.4 * _CABINET_DEPTH, 0.0202), (0.0, _FACE + 0.4 * _CABINET_DEPTH, -0.004)),
            ),
            (0.72, 0.50, 0.30),
            slide=Slide(
                within="cabinet",
                closed=tuple((0.0, -_CABINET_DEPTH / 2, (k + 0.5) * _DRAWER_HEIGHT) for k in range(_DRAWERS)),
                axis=(0.0, -1.0, 0.0),
                travel=0.13,
                front=1,
            ),
        ),
        "cabinet": ObjectShape(
            (
                Box((0.135, (_CABINET_DEPTH - _FACE) / 2, 0.141), (0.0, _FACE / 2, 0.141)),
                Box((0.132, _FACE / 2, 0.139), (0.0, (_FACE - _CABINET_DEPTH) / 2, 0.141)),
            ),
            (0.45, 0.29, 0.16),
            yaw_range=float(np.deg2rad(30.0)),
            stands=True,
        ),
    },
}
"""By the tabletop task's slug and the tracked object's name."""
