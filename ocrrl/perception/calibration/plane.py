"""A plane through points that depth gave, such as the table."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

HYPOTHESES = 200
TOLERANCE = 0.008
"""A point so near to the plane is of it [m]: about two standard deviations of a D435's depth at 0.7 m."""
MIN_POINTS = 200
MAX_POINTS = 5000


@dataclass(frozen=True)
class Plane:
    """The points p with `normal` · p = `offset`; in the frame of the points."""

    normal: Float[np.ndarray, " 3"]
    """Of unit length; its z is not negative."""
    offset: float
    """[m]"""
    inliers: float
    """Share of the points within `TOLERANCE` of it."""

    @property
    def tilt(self) -> float:
        """Between its normal and the z axis [rad]."""
        return float(np.arctan2(np.linalg.norm(self.normal[:2]), self.normal[2]))

    def height_at(self, x: float, y: float) -> float:
        """Its z above (x, y) [m]."""
        return float((self.offset - self.normal[:2] @ [x, y]) / self.normal[2])


def fit_plane(points: Float[np.ndarray, "N 3"], generator: np.random.Generator | None = None) -> Plane:
    """The plane with the most of `points`, by RANSAC (Fischler and Bolles 1981), then least squares over its own.

    The same points give the same plane unless a `generator` is given. Raises ValueError for fewer than `MIN_POINTS` points.
    """
    if len(points) < MIN_POINTS:
        raise ValueError(f"a plane must be fitted to at least {MIN_POINTS} points, got {len(points)}")
    generator = generator or np.random.default_rng(0)
    points = np.asarray(points, float)
    if len(points) > MAX_POINTS:
        points = points[generator.choice(len(points), MAX_POINTS, replace=False)]
    corners = points[generator.integers(len(points), size=(HYPOTHESES, 3))]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=-1)
    real = lengths > 1e-9
    normals = normals[real] / lengths[real, None]
    offsets = (normals * corners[real, 0]).sum(axis=-1)
    counts = (np.abs(points @ normals.T - offsets) < TOLERANCE).sum(axis=0)
    normal, offset = normals[counts.argmax()], offsets[counts.argmax()]
    for _ in range(3):
        near = np.abs(points @ normal - offset) < TOLERANCE
        centre = points[near].mean(axis=0)
        normal = np.linalg.svd(points[near] - centre, full_matrices=False)[2][-1]
        offset = float(normal @ centre)
    near = np.abs(points @ normal - offset) < TOLERANCE
    if normal[2] < 0:
        normal, offset = -normal, -offset
    return Plane(normal, float(offset), float(near.mean()))
