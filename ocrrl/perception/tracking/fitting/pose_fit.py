"""Fits one object's pose to a window of a frame, and how well the result agrees."""

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float
from scipy.spatial import ConvexHull

from ocrrl.perception.tracking.fitting.gauss_newton import NARROW, refine
from ocrrl.perception.tracking.fitting.pixels import Pixels, tint_of
from ocrrl.perception.tracking.fitting.render_and_compare import Agreement, compare
from ocrrl.perception.tracking.fitting.signed_distance import primitive_rows
from ocrrl.tabletop.parts.object_shapes import Box, ObjectShape

TRACKING_WIDTH, TRACKING_ITERATIONS = 0.020, 5  # [m]
LARGE = 0.04  # [m], inner radius from which on kernels widen with the object
COLOURED = 0.2  # tint from which on an object is unlike the robot's white and black
APART = 0.020  # [m]: twice what is near, so that the better of two poses this far apart is the nearer one
FAST = 1e-5  # [m, rad], the prior of a freedom that is held


@dataclass(frozen=True)
class Body:
    """A shape as the compiled functions take it."""

    shape: ObjectShape
    rows: np.ndarray = field(init=False)
    solid: np.ndarray = field(init=False)
    corners: np.ndarray = field(init=False)
    radius: float = field(init=False)
    """Of a ball about the origin that holds it [m]."""
    inner_radius: float = field(init=False)
    """Half of the least extent [m]."""
    least_area: float = field(init=False)
    """Least area [m^2] that it has across any view."""
    round: bool = field(init=False)
    """Whether a turn about z changes nothing."""
    coloured: bool = field(init=False)
    faces: np.ndarray = field(init=False)
    """Outward normals (F, 3) of what it may lie on, of unit length."""
    ways: np.ndarray = field(init=False)
    """Directions (W, 3) in its frame along which a body that only slides, or only stands, can move."""

    def __post_init__(self) -> None:
        corners = self.shape.corners()
        tint = tint_of(self.shape.colour)
        for name, value in (
            ("rows", primitive_rows(self.shape)),
            ("solid", primitive_rows(self.shape, solid=True)),
            ("corners", np.ascontiguousarray(corners)),
            ("radius", float(np.linalg.norm(corners, axis=1).max())),
            ("inner_radius", float(0.5 * (corners.max(0) - corners.min(0)).min())),
            ("least_area", float(np.prod(np.sort(np.ptp(corners, axis=0))[:2]))),
            ("round", not any(isinstance(primitive, Box) for primitive in self.shape.primitives)),
            ("coloured", bool(np.abs(tint[:2]).max() > COLOURED)),
            ("faces", ConvexHull(corners).equations[:, :3]),
            ("ways", self._ways()),
        ):
            object.__setattr__(self, name, value)

    def _ways(self) -> np.ndarray:
        if self.shape.slide is not None:
            return np.array([self.shape.slide.axis])
        return np.eye(3)[:2] if self.shape.stands else np.zeros((0, 3))

    def widths(self, widest: float = TRACKING_WIDTH, iterations: int = TRACKING_ITERATIONS) -> Float[np.ndarray, " I"]:
        """Kernel widths [m] that narrow from `widest`, wider for a large body, to the narrowest, held for two iterations."""
        narrowing = np.geomspace(widest * max(1.0, self.inner_radius / LARGE), NARROW, iterations - 1)
        return np.append(narrowing, NARROW)

    def prior(self, spread: float, turn_spread: float) -> Float[np.ndarray, " 6"]:
        """Standard deviations of a pose known within `spread` [m] and `turn_spread` [rad], in the freedoms it has."""
        prior = np.array([spread] * 3 + [turn_spread] * 3)
        if self.round:
            prior[5] = FAST
        if self.shape.stands:
            prior[2:5] = FAST
        return prior

    def off_rest(self, rotation: Float[np.ndarray, "3 3"], position: Float[np.ndarray, " 3"]) -> tuple[float, float]:
        """By how much a pose is tilted [rad] and raised [m] against the nearest in which the body lies on the table."""
        down = -rotation[2]
        if self.round:
            tilt = np.abs(
                np.arccos(np.clip(down[2], -1.0, 1.0)) - np.arccos(np.clip(self.faces[:, 2], -1.0, 1.0))
            ).min()
        else:
            tilt = np.arccos(np.clip((self.faces @ down).max(), -1.0, 1.0))
        return float(tilt), float((self.corners @ rotation[2]).min() + position[2])


@dataclass(frozen=True)
class Fit:
    """A refined pose of a body in the base frame, with what speaks for it."""

    rotation: Float[np.ndarray, "3 3"]
    position: Float[np.ndarray, " 3"]
    information: Float[np.ndarray, "6 6"]
    """Inverse of the covariance of the increment in the object's frame [m, rad]."""
    agreement: Agreement
    lead: float = np.inf
    """As `with_lead` gives it."""

    def spread(self, body: Body) -> tuple[float, float]:
        """Standard deviations [m, rad] of position and rotation in their least certain directions."""
        turns = slice(3, 5) if body.round else slice(3, 6)
        covariance = np.linalg.inv(self.information)
        return (
            float(np.sqrt(np.linalg.eigvalsh(covariance[:3, :3])[-1])),
            float(np.sqrt(np.linalg.eigvalsh(covariance[turns, turns])[-1])),
        )


def fit(
    body: Body,
    pixels: Pixels,
    code: np.ndarray,
    rotation: np.ndarray,
    position: np.ndarray,
    widths: np.ndarray,
    prior: np.ndarray,
    rests: bool,
) -> Fit:
    """The pose near (`rotation`, `position`) that the pixels, classified by `code`, speak for; `rests`: nothing holds the body."""
    step = pixels.window.step
    turned, moved, information = refine(
        body.rows,
        body.solid,
        body.corners,
        body.radius,
        rotation,
        position,
        pixels.camera,
        pixels.rays,
        pixels.depth,
        code,
        step,
        widths,
        prior,
        rests,
    )
    return Fit(turned, moved, information, agreement(body, pixels, code, turned, moved))


def agreement(body: Body, pixels: Pixels, code: np.ndarray, rotation: np.ndarray, position: np.ndarray) -> Agreement:
    """How the body at (`rotation`, `position`) agrees with the pixels."""
    return compare(
        body.rows, body.radius, rotation, position, pixels.camera, pixels.rays, pixels.depth, code, pixels.window.step
    )


def with_lead(body: Body, pixels: Pixels, code: np.ndarray, found: Fit) -> Fit:
    """The fit with its lead: by how many pixels its evidence exceeds that of the same pose `APART` along one of the body's `ways`.

    Of a large body, `APART` is few of the pixels: the shares that agree hardly tell that its pose is off by so much. The lead of a
    body that moves freely is infinite.
    """
    shifts = [sign * APART * (found.rotation @ way) for way in body.ways for sign in (-1.0, 1.0)]
    others = [agreement(body, pixels, code, found.rotation, found.position + shift).evidence for shift in shifts]
    return replace(found, lead=found.agreement.evidence - max(others, default=-np.inf))
