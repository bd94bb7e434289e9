"""Finds the table in a frame without the calibration, then compares it with the calibration; also its colour.

A depth scale error of 1% moves everything by 6.5 mm at 0.65 m, and the table tells: its depth is known from the
camera's pose. A table that is not where the calibration says is an error, not something to correct in silence.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ocrrl.interface.frames import Frame
from ocrrl.perception.tracking.fitting.compiled import compiled
from ocrrl.perception.tracking.fitting.pixels import ColourModel, pixels_of, whole_window

TRIALS, SEED = 80, 7
STEP = 6  # [pixels] between those that are looked at
INLIER = 0.008  # [m] at 0.7 m, growing with depth squared
LEAST_SHARE = 0.10  # of the pixels, for a plane to be called the table
MAX_TILT = float(np.deg2rad(3.0))
MAX_SCALE_ERROR = 0.04
TINT_SPREAD = np.array([0.04, 0.06, 0.08])  # the least


@dataclass(frozen=True)
class TablePlane:
    """The top of the table, z = 0 of the robot base frame."""

    depth_scale: float
    """What depths must be multiplied by for the table to be at z = 0."""
    tilt: float
    """[rad] between the plane that was seen and the calibration's."""
    colour: ColourModel


def find_table(frame: Frame) -> TablePlane:
    """The table in `frame`. RuntimeError where no table is seen, or one that contradicts the camera's pose."""
    pixels = pixels_of(frame, whole_window(frame, STEP))
    points = pixels.points()
    seen = np.flatnonzero((pixels.depth > 0) & (np.abs(points[:, 2]) < 0.10))
    if len(seen) < LEAST_SHARE * len(points):
        raise RuntimeError(
            f"the table must fill {LEAST_SHARE:.0%} of the image, got {len(seen) / len(points):.0%} within 10 cm of its "
            "height: check the camera's pose, or clear its view"
        )
    slack = INLIER * (pixels.depth[seen] / 0.7) ** 2
    triples = np.random.default_rng(SEED).integers(0, len(seen), (TRIALS, 3))
    normal, offset, count = _best_plane(points[seen], slack, triples)
    inlier = np.abs(points[seen] @ normal - offset) < slack
    if count < LEAST_SHARE * len(points):
        raise RuntimeError("no plane was found where the table should be: check the camera's pose, or clear its view")
    on_plane = points[seen][inlier]
    middle = on_plane.mean(0)
    normal = np.linalg.svd(on_plane - middle, full_matrices=False)[2][2]
    tilt = float(np.arccos(min(abs(normal[2]), 1.0)))
    rays, depth = pixels.rays[seen][inlier], pixels.depth[seen][inlier]
    scale = float(np.median(-pixels.camera[2] / rays[:, 2] / depth))
    if tilt > MAX_TILT or abs(scale - 1.0) > MAX_SCALE_ERROR:
        raise RuntimeError(
            f"the table must lie level at z = 0 of the robot base frame, got it {np.rad2deg(tilt):.1f} deg tilted and "
            f"{100 * (1 / scale - 1):+.1f}% off in depth: calibrate the camera again"
        )
    tint = pixels.tint[seen][inlier]
    spread = np.maximum(1.5 * tint.std(0), TINT_SPREAD)
    return TablePlane(scale, tilt, ColourModel(np.median(tint, axis=0), spread))


@compiled
def _best_plane(
    points: Float[np.ndarray, "n 3"], slack: Float[np.ndarray, " n"], triples: np.ndarray
) -> tuple[np.ndarray, float, int]:
    """Normal, offset and inliers of the most supported of the nearly level planes through the triples (RANSAC)."""
    best, best_offset, most = np.array([0.0, 0.0, 1.0]), 0.0, 0
    for k in range(len(triples)):
        a, b, c = points[triples[k, 0]], points[triples[k, 1]], points[triples[k, 2]]
        normal = np.cross(b - a, c - a)
        length = np.sqrt(normal @ normal)
        if length < 1e-4:
            continue
        normal /= length
        if abs(normal[2]) < 0.98:
            continue
        offset, count = float(normal @ a), 0
        for i in range(len(points)):
            if abs(points[i] @ normal - offset) < slack[i]:
                count += 1
        if count > most:
            best, best_offset, most = normal, offset, count
    return best, best_offset, most
