"""How far any backend's poses can be believed, judged by the frame and nothing the backend says of itself.

A pose is refined where it is and the result held against the picture, as the geometric tracker does. What it moves by
in being refined is its own error, and takes its confidence away.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from ocrrl.interface import rotations
from ocrrl.interface.kinematics import ArmKinematics
from ocrrl.perception.confidence import NEAR_POSITION, NEAR_ROTATION, features, probability
from ocrrl.perception.frame_checks import require_frame
from ocrrl.perception.frames import Frame
from ocrrl.perception.object_shapes import ObjectShape
from ocrrl.perception.object_tracker import RobotPosture
from ocrrl.perception.pixels import NOMINAL_SPREAD, ColourModel, pixels_of, tint_of, window_around
from ocrrl.perception.pose_fit import FAST, Body, Fit, fit, mark_other
from ocrrl.perception.registration import classify_for, learned_colour, plausible, stands_test
from ocrrl.perception.robot_mask import robot_capsules
from ocrrl.perception.table_plane import TablePlane, find_table

MOST_PIXELS, MARGIN = 2400, 0.03  # of a window; [m]
SPREAD, TURN_SPREAD = 0.02, 0.20  # [m], [rad] by which a pose may be off and still be refined


class PoseVerifier:
    """Judges poses of objects of known `shapes` before an arm with `kinematics`, a frame after the other.

    The table and the objects' colours are learned from the first frames in which they are plain to see.
    """

    def __init__(self, shapes: Sequence[ObjectShape], kinematics: ArmKinematics):
        self._bodies, self._kinematics = [Body(shape) for shape in shapes], kinematics
        self._colours = [ColourModel(tint_of(shape.colour), NOMINAL_SPREAD) for shape in shapes]
        self._table: TablePlane | None = None

    def verify(self, frame: Frame, robot: RobotPosture, poses: Float[np.ndarray, "O 7"]) -> Float[np.ndarray, " O"]:
        """P(within 10 mm and 10 deg) of every object's pose: position [m], wxyz, robot base frame.

        ValueError where `poses` are not one an object or the frame is no RGB-D frame, RuntimeError where its table is
        out of place.
        """
        judged = []
        for body, pose, found in zip(self._bodies, poses, self.refined(frame, robot, poses), strict=True):
            if found is None or not plausible(found):
                judged.append(0.0)
            else:
                judged.append(probability(features(body, found)) * _kept(body, pose, found))
        return np.array(judged)

    def refined(self, frame: Frame, robot: RobotPosture, poses: Float[np.ndarray, "O 7"]) -> list[Fit | None]:
        """Every object's pose after refining it in place; None for one outside the picture. Errors as `verify`'s."""
        require_frame(frame, robot)
        if np.shape(poses) != (len(self._bodies), 7) or not np.isfinite(poses).all():
            raise ValueError(f"poses must be finite, {(len(self._bodies), 7)}: one an object; got {poses}")
        if self._table is None:
            self._table = find_table(frame)
        capsules = robot_capsules(self._kinematics, robot)
        placed = [(body, *_matrix_and_position(pose)) for body, pose in zip(self._bodies, poses, strict=True)]
        return [self._refine(index, frame, capsules, placed, self._table) for index in range(len(placed))]

    def _refine(
        self,
        index: int,
        frame: Frame,
        capsules: np.ndarray,
        placed: list[tuple[Body, np.ndarray, np.ndarray]],
        table: TablePlane,
    ) -> Fit | None:
        body, rotation, position = placed[index]
        centre = position + rotation @ body.corners.mean(0)
        window = window_around(frame, centre, body.radius, MARGIN, MOST_PIXELS)
        if window is None:
            return None
        pixels = pixels_of(frame, window, table.depth_scale)
        code = classify_for(body, pixels, self._colours[index], table, capsules)
        for other in placed:
            if other[0] is not body:
                mark_other(pixels, code, placed[index], other)
        prior = body.prior(SPREAD, TURN_SPREAD)
        if body.shape.slide is not None:
            prior[:] = FAST
            prior[np.argmax(np.abs(body.shape.slide.axis))] = SPREAD
        found = fit(body, pixels, code, rotation, position, body.widths(), prior, rests=False)
        if not self._colours[index].seen and stands_test(body, found):
            self._colours[index] = learned_colour(body, pixels, code, found, self._colours[index])
        return found


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
