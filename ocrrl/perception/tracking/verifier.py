"""Confidence of any estimator's poses, from the frame alone.

A pose is refined where it is and the result held against the image, as the geometric tracker does. What it moves by
in being refined is its own error, and takes its confidence away. Objects explain each other's pixels, those alone that are
believed: of two wrong poses each must not excuse the other.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float

from ocrrl.interface import rotations
from ocrrl.interface.frames import Frame
from ocrrl.interface.kinematics import ArmKinematics
from ocrrl.interface.observations import CONFIDENCE_THRESHOLD
from ocrrl.interface.protocols import RobotPosture
from ocrrl.perception.tracking.confidence import NEAR_POSITION, NEAR_ROTATION, confidence
from ocrrl.perception.tracking.fitting.drawer_slide import Range, SlideView, find_in_place, nearest_place, opening_of
from ocrrl.perception.tracking.fitting.object_pixels import Placed, Sight, pixels_about, sight_of
from ocrrl.perception.tracking.fitting.pixels import NOMINAL_SPREAD, ColourModel, tint_of
from ocrrl.perception.tracking.fitting.pose_fit import FAST, Body, Fit, fit, with_lead
from ocrrl.perception.tracking.fitting.registration import learned_colour, plausible, stands_test
from ocrrl.perception.tracking.fitting.table_plane import TablePlane
from ocrrl.tabletop.parts.object_shapes import ObjectShape

SPREAD, TURN_SPREAD = 0.02, 0.20  # [m], [rad] by which a pose may be off and still be refined


class PoseVerifier:
    """Judges poses of objects of known `shapes`, by name, before an arm with `kinematics`, a frame after the other.

    The table and the objects' colours are learned from the first frames in which they are plain to see.
    """

    def __init__(self, shapes: Mapping[str, ObjectShape], kinematics: ArmKinematics):
        self._kinematics, self._named = kinematics, {name: Body(shape) for name, shape in shapes.items()}
        self._bodies = list(self._named.values())
        self._colours = [ColourModel(tint_of(shape.colour), NOMINAL_SPREAD) for shape in shapes.values()]
        self._table: TablePlane | None = None

    def verify(
        self,
        frame: Frame,
        robot: RobotPosture,
        poses: Float[np.ndarray, "O 7"],
        known: Bool[np.ndarray, " O"] | None = None,
    ) -> Float[np.ndarray, " O"]:
        """P(within 10 mm and 10 deg) of every object's pose: position [m], wxyz, robot base frame.

        The poses of objects that are not `known` in this frame mean nothing: they are given 0 and explain no pixel.
        ValueError where `poses` are not one an object or the frame is no RGB-D frame, RuntimeError where its table is
        out of place.
        """
        known = np.ones(len(self._bodies), bool) if known is None else known
        explaining = known
        while True:
            refined = self.refined(frame, robot, poses, known, explaining)
            judged = np.array([_judged(*one) for one in zip(self._bodies, poses, refined, strict=True)])
            for part, body in enumerate(self._bodies):
                for holder, other in enumerate(self._bodies):
                    if other is self._holder_of(body) and known[holder]:
                        judged[part] = min(judged[part], judged[holder])
            believed = explaining & (judged >= CONFIDENCE_THRESHOLD)
            if (believed == explaining).all():
                return judged
            explaining = believed

    def refined(
        self,
        frame: Frame,
        robot: RobotPosture,
        poses: Float[np.ndarray, "O 7"],
        known: Bool[np.ndarray, " O"] | None = None,
        explaining: Bool[np.ndarray, " O"] | None = None,
    ) -> list[Fit | None]:
        """Every object's pose after refining it in place; None for one outside the image. Errors as `verify`'s.

        Those that are not `known` are None too; pixels on the `explaining` objects are theirs. All are both if None.
        """
        if np.shape(poses) != (len(self._bodies), 7) or not np.isfinite(poses).all():
            raise ValueError(f"poses must be finite, {(len(self._bodies), 7)}: one an object; got {poses}")
        sight = sight_of(frame, robot, self._table, self._kinematics)
        self._table = sight.table
        placed = [(body, *_matrix_and_position(pose)) for body, pose in zip(self._bodies, poses, strict=True)]
        everything = np.ones(len(placed), bool)
        explaining, known = (everything if chosen is None else chosen for chosen in (explaining, known))
        others = [other for other, explains in zip(placed, explaining, strict=True) if explains]
        return [
            self._refine(index, sight, placed[index], others) if known[index] else None for index in range(len(placed))
        ]

    def _refine(self, index: int, sight: Sight, placed: Placed, objects: list[Placed]) -> Fit | None:
        body, rotation, position = placed
        others = [other for other in objects if other[0] is not body]
        slide = body.shape.slide
        if slide is not None:
            holder = next((other for other in others if other[0] is self._holder_of(body)), None)
            if holder is not None:
                slide_view = SlideView(sight, holder, [o for o in others if o is not holder])
                place = nearest_place(slide, holder, position)
                opening = opening_of(slide, holder, place, position)
                near = Range(opening - NEAR_POSITION, opening + NEAR_POSITION)
                part = find_in_place(body, slide, self._colours[index], slide_view, place, [near])
                return None if part is None else part.fit
        parts = [other for other in others if self._holder_of(other[0]) is body]
        others = [other for other in others if self._holder_of(other[0]) is not body]
        view = pixels_about(sight, placed, self._colours[index], others, parts)
        if view is None:
            return None
        pixels, code = view
        prior = body.prior(SPREAD, TURN_SPREAD)
        if body.shape.slide is not None:
            prior[:] = FAST
            prior[np.argmax(np.abs(body.shape.slide.axis))] = SPREAD
        found = fit(body, pixels, code, rotation, position, body.widths(), prior, rests=False)
        if not self._colours[index].seen and stands_test(body, found):
            self._colours[index] = learned_colour(body, pixels, code, found, self._colours[index])
        return with_lead(body, pixels, code, found)

    def _holder_of(self, part: Body) -> Body | None:
        """What a part slides in, if that is one of the objects."""
        return None if part.shape.slide is None else self._named.get(part.shape.slide.within)


def _judged(body: Body, pose: np.ndarray, found: Fit | None) -> float:
    if found is None or not plausible(found):
        return 0.0
    return confidence(body, found) * _kept(body, pose, found)


def _matrix_and_position(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return rotations.to_matrix(rotations.normalise(np.asarray(pose[3:], float))), np.asarray(pose[:3], float)


def _kept(body: Body, pose: np.ndarray, found: Fit) -> float:
    """1 for a pose that was refined by less than half of what is near, falling to 0 at all of it."""
    rotation, position = _matrix_and_position(pose)
    centre = body.corners.mean(0)
    moved = np.linalg.norm(found.position + found.rotation @ centre - position - rotation @ centre) / NEAR_POSITION
    turned = (
        rotations.angle_between(rotations.from_matrix(rotation), rotations.from_matrix(found.rotation)) / NEAR_ROTATION
    )
    return float(np.clip(2.0 - 2.0 * max(moved, turned), 0.0, 1.0))
