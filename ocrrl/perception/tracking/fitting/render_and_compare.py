"""Scores a pose: ray-casts the object's surface and compares it with the depth and colour of every pixel.

Each pixel in which the pose predicts the object agrees, shows what should be hidden behind it, is covered by something
nearer, or tells nothing; and pixels of the object's colour near the pose, or before it, may remain unexplained. Compiled.
"""

from typing import NamedTuple

import numpy as np

from ocrrl.perception.tracking.fitting.compiled import compiled
from ocrrl.perception.tracking.fitting.pixels import BACKGROUND, OBJECT, UNKNOWN
from ocrrl.perception.tracking.fitting.signed_distance import first_hit, signed_distance, turn_back

TOLERANCE, TOLERANCE_GROWTH = 0.004, 0.011  # [m] of depth: at any distance, and at 0.7 m, growing with depth squared
NEIGHBOURHOOD = 0.025  # [m] around the object in which pixels of its colour should be its own
TOUCHING, OVER_TABLE = 0.010, 0.012  # [m]: what goes on beside the object, above the table, is more than the object
UNSURE = 0.5  # what a pixel counts whose depth agrees and whose colour is neither the object's nor the table's


class Agreement(NamedTuple):
    """Counts of pixels of the image (a thinned one counts step squared)."""

    predicted: float
    agree: float
    see_through: float
    covered: float
    unknown: float
    unexplained: float
    squared_error: float
    """Sum over the pixels that agree in depth, of (error / tolerance) squared, each at most 1."""
    with_depth: float
    """How many of those there are."""

    @property
    def visible(self) -> float:
        """Share of the predicted pixels in which the object is seen."""
        return self.agree / max(self.predicted, 1.0)

    @property
    def inlier(self) -> float:
        """Share that agrees among the pixels that say something."""
        return self.agree / max(self.agree + self.see_through, 1.0)

    @property
    def contradicted(self) -> float:
        """Share that shows what should be hidden, among the pixels that say something."""
        return self.see_through / max(self.agree + self.see_through, 1.0)

    @property
    def explained(self) -> float:
        """Share of the pixels of its colour around it that the pose explains."""
        return self.agree / max(self.agree + self.unexplained, 1.0)

    @property
    def misfit(self) -> float:
        """Mean squared error of depth, in [0, 1]."""
        return self.squared_error / max(self.with_depth, 1.0)

    @property
    def evidence(self) -> float:
        """What agrees, well, less what contradicts and what is left over [pixels]."""
        return self.agree - 0.5 * self.squared_error - self.see_through - 0.5 * self.unexplained

    @property
    def score(self) -> float:
        """The evidence as a share of what could speak for or against the pose, to compare poses in one place; at most 1."""
        return self.evidence / max(self.agree + self.see_through + self.unexplained + self.unknown, 1.0)


def compare(rows, radius, rotation, position, camera, rays, depth, code, step) -> Agreement:
    """How the object `rows` at (`rotation`, `position`) agrees with a window's pixels."""
    return Agreement(*_compare(rows, radius, rotation, position, camera, rays, depth, code, step))


@compiled
def cast(rows, radius, rotation, position, camera, rays):
    """Depth (n,) [m] at which each ray meets the object; 0 where it does not."""
    hits = np.zeros(len(rays))
    origin = rotation.T @ (camera - position)
    for i in range(len(rays)):
        dx, dy, dz = turn_back(rotation, rays[i, 0], rays[i, 1], rays[i, 2])
        hits[i] = _hit(rows, radius, origin, dx, dy, dz)
    return hits


@compiled
def _hit(rows, radius, origin, dx, dy, dz):
    ox, oy, oz = origin[0], origin[1], origin[2]
    length = np.sqrt(dx * dx + dy * dy + dz * dz)
    ux, uy, uz = dx / length, dy / length, dz / length
    along = -(ox * ux + oy * uy + oz * uz)
    px, py, pz = ox + along * ux, oy + along * uy, oz + along * uz
    rest = radius * radius - (px * px + py * py + pz * pz)
    if rest < 0.0:
        return 0.0
    half = np.sqrt(rest)
    t = first_hit(rows, ox, oy, oz, ux, uy, uz, along - half, along + half)
    return t / length if t > 0.0 else 0.0


@compiled
def _compare(rows, radius, rotation, position, camera, rays, depth, code, step):
    predicted, agree, through, covered, unknown, unexplained = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    squared_error, with_depth = 0.0, 0.0
    origin = rotation.T @ (camera - position)
    for i in range(len(depth)):
        dx, dy, dz = turn_back(rotation, rays[i, 0], rays[i, 1], rays[i, 2])
        z = depth[i]
        expected = _hit(rows, radius, origin, dx, dy, dz)
        if expected == 0.0:
            if z > 0.0 and (code[i] == OBJECT or (code[i] == UNKNOWN and camera[2] + z * rays[i, 2] > OVER_TABLE)):
                qx, qy, qz = origin[0] + z * dx, origin[1] + z * dy, origin[2] + z * dz
                near = qx * qx + qy * qy + qz * qz < (radius + NEIGHBOURHOOD) ** 2
                distance = signed_distance(rows, qx, qy, qz)[0] if near else NEIGHBOURHOOD
                if code[i] == OBJECT and distance < NEIGHBOURHOOD:
                    unexplained += 1.0
                elif code[i] == UNKNOWN and distance < TOUCHING:
                    unexplained += UNSURE
            continue
        predicted += 1.0
        tolerance = TOLERANCE + TOLERANCE_GROWTH * (expected / 0.7) ** 2
        if z > 0.0:
            if z < expected - tolerance or code[i] > OBJECT:
                if z > expected + tolerance:
                    through += 1.0
                elif code[i] == OBJECT:
                    unexplained += 1.0  # its own colour before its surface: what is there is more than the object
                else:
                    covered += 1.0
            elif z > expected + tolerance or code[i] == BACKGROUND:
                through += 1.0
            else:
                weight = 1.0 if code[i] == OBJECT else UNSURE
                agree += weight
                unknown += 1.0 - weight
                squared_error += weight * ((z - expected) / tolerance) ** 2
                with_depth += weight
        elif code[i] == OBJECT:
            agree += 1.0
        elif code[i] == BACKGROUND:
            through += 1.0
        elif code[i] == UNKNOWN:
            unknown += 1.0
        else:
            covered += 1.0
    a = float(step * step)
    return (
        a * predicted, a * agree, a * through, a * covered, a * unknown, a * unexplained, a * squared_error,
        a * with_depth,
    )  # fmt: skip
