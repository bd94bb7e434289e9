"""Candidate poses of an object, from the pixels that may show it."""

import cv2
import numpy as np
from jaxtyping import Float

from ocrrl.interface import rotations
from ocrrl.perception.tracking.fitting.pixels import OBJECT, Pixels
from ocrrl.perception.tracking.fitting.pose_fit import Body
from ocrrl.tabletop.parts.object_shapes import Box

YAWS = 18
RANDOM_ROTATIONS, SEED = 12, 11
INTO = 0.5  # of the inner radius: the middle lies behind the surface that is seen
LEAST_PIXELS = 12
MOST_REGIONS = 4
PADS_GIVE = (-0.008, 0.003)  # [m] by which pads, which are soft, may be less or more apart than a box between them
LONG = 2.2  # radii of a region that may be two things
WORKSPACE = ((0.15, 0.95), (-0.55, 0.55), (-0.03, 0.70))  # [m], where objects may be


def regions(pixels: Pixels, code: np.ndarray, radius: float, least_area: float = 0.0) -> list[Float[np.ndarray, " 3"]]:
    """Middles [m] of the connected regions of the object's colour over the table, the largest first.

    A region that is longer than a ball of `radius` [m] may be two things that touch in the image: its ends are added. One
    whose area across the view is smaller than `least_area` [m^2] is left out.
    """
    pitch = np.linalg.norm(pixels.rays[1] - pixels.rays[0])  # of the rays, a metre away
    points = pixels.points()
    inside = (code == OBJECT) & (pixels.depth > 0)
    for axis, (low, high) in enumerate(WORKSPACE):
        inside &= (points[:, axis] > low) & (points[:, axis] < high)
    image = inside.reshape(pixels.window.shape).astype(np.uint8)
    image = cv2.morphologyEx(image, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(image)
    order = 1 + np.argsort(-statistics[1:, cv2.CC_STAT_AREA], kind="stable")
    labels = labels.ravel()
    middles = []
    for label in order[:MOST_REGIONS]:
        members = (labels == label) & inside
        if statistics[label, cv2.CC_STAT_AREA] >= LEAST_PIXELS and members.any():
            own = points[members]
            middle = np.median(own, axis=0)
            if len(own) * (pitch * np.median(pixels.depth[members])) ** 2 < least_area:
                continue
            middles.append(middle)
            along = np.linalg.svd(own[:: 1 + len(own) // 300] - middle, full_matrices=False)[2][0]
            reach = np.quantile((own - middle) @ along, (0.02, 0.98))
            if reach[1] - reach[0] > LONG * radius:
                middles += [own[np.abs((own - middle) @ along - 0.75 * end).argmin()] for end in reach]
    return middles if count > 1 else []


def poses_near(
    body: Body, middle: Float[np.ndarray, " 3"], camera: Float[np.ndarray, " 3"], anywhere: bool
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rotations and positions of the body with its visible surface about `middle`: at rest, and `anywhere` also in the air."""
    away = middle - camera
    away[2] = 0.0
    seen = middle + INTO * body.inner_radius * away / np.linalg.norm(away)
    centre = body.corners.mean(0)
    found = []
    for resting in body.shape.resting:
        quaternion = np.asarray(resting, float)
        height = body.shape.height_at_rest(quaternion)
        for yaw in np.linspace(-body.shape.yaw_range, body.shape.yaw_range, YAWS, endpoint=False):
            turn = rotations.multiply(np.array([np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)]), quaternion)
            matrix = rotations.to_matrix(turn)
            position = seen - matrix @ centre
            position[2] = height
            found.append((matrix, position))
            if anywhere and not body.shape.stands:
                found.append((matrix, seen - matrix @ centre))
    if anywhere and not body.shape.stands:
        generator = np.random.default_rng(SEED)
        for quaternion in generator.normal(size=(RANDOM_ROTATIONS, 4)):
            matrix = rotations.to_matrix(quaternion / np.linalg.norm(quaternion))
            found.append((matrix, seen - matrix @ centre))
    return found


def turned_end_over_end(body: Body, rotation: np.ndarray, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pose of the body turned by half a turn about its y axis through its middle, for which it is easily mistaken."""
    centre = body.corners.mean(0)
    flipped = rotation @ np.diag([-1.0, 1.0, -1.0])
    return flipped, position + rotation @ centre - flipped @ centre


def levelled(rotation: np.ndarray) -> np.ndarray:
    """The rotation nearest to `rotation` (3, 3) in which an axis of a box is vertical, as of one that lies on something."""
    return _nearest_axis_along(rotation, np.array([0.0, 0.0, 1.0]))


def between_pads(
    body: Body, rotation: np.ndarray, position: np.ndarray, tcp: np.ndarray, hand: np.ndarray, width: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """The pose nearest to (`rotation`, `position`) in which two faces of a box lie on the pads of a gripper `width` [m] open.

    Gripper frame: `tcp` [m], `hand` (3, 3), whose y axis the fingers close along. None for what is no box, or where no two of
    its faces are that far apart.
    """
    if len(body.shape.primitives) != 1 or not isinstance(box := body.shape.primitives[0], Box):
        return None
    closing, extents = hand[:, 1], 2.0 * np.asarray(box.half_size)
    if not PADS_GIVE[0] <= width - extents[np.abs(closing @ rotation).argmax()] <= PADS_GIVE[1]:
        return None
    squared = _nearest_axis_along(rotation, closing)
    middle = position + rotation @ box.centre
    middle = middle + closing * ((tcp - middle) @ closing)
    return squared, middle - squared @ box.centre


def _nearest_axis_along(rotation: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """`rotation` (3, 3) turned by the least angle that brings one of its axes along `direction` (3,), of unit length."""
    along = direction @ rotation
    axis = int(np.abs(along).argmax())
    near = rotation[:, axis] * np.sign(along[axis])
    turn = np.cross(near, direction)
    sine = float(np.linalg.norm(turn))
    if sine < 1e-9:
        return rotation
    quaternion = rotations.from_rotation_vector(turn / sine * np.arctan2(sine, near @ direction))
    return rotations.to_matrix(quaternion) @ rotation
