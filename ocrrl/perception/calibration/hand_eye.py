"""Hand-eye calibration: a camera's pose from views of a board while the arm moves.

Two mountings, one equation. Legend: i a view, k a corner; X camera pose, Y board pose, A_i from the arm, p_k on the board [m].

    fixed   board in the gripper:  X = camera in base,     Y = board in gripper,  A_i = gripper in base
    wrist   board on the table:    X = camera in gripper,  Y = board in base,     A_i = base in gripper

    pixel_ik = project(X⁻¹ A_i Y p_k)

A closed form (robot-world and hand-eye: Shah 2013, Li et al. 2010) starts it, least squares on the reprojection error end it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import cv2
import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import least_squares

from ocrrl.interface import rigid, rotations
from ocrrl.interface.frames import Intrinsics
from ocrrl.perception.calibration.charuco_board import CharucoBoard, Corners

Mounting = Literal["fixed", "wrist"]
MOUNTINGS: tuple[Mounting, ...] = get_args(Mounting)

PIXEL_SCALE = 1.0
"""Of the robust loss [pixels]: corners are found to 0.1 to 0.3 pixels, further off they count less."""
OUTLIER = 3.0
"""A view is dropped whose error is so many times the median view's."""
OUTLIER_FLOOR = 1.0
"""... and above this [pixels]."""


@dataclass(frozen=True)
class View:
    """The board as seen while the gripper stood still."""

    gripper_pose: Float[np.ndarray, " 7"]
    """In the robot base frame: position [m], wxyz; from the measured joints."""
    corners: Corners


@dataclass(frozen=True)
class HandEye:
    """An answer to the equation above."""

    camera_pose: Float[np.ndarray, " 7"]
    """X: of the optical frame, in base (fixed) or in the gripper frame (wrist)."""
    board_pose: Float[np.ndarray, " 7"]
    """Y: in the gripper frame (fixed) or in base (wrist)."""
    used: tuple[int, ...]
    """Which views it is from; the others were outliers."""
    reprojection_rms: float
    """[pixels], over the corners of the views it is from."""


@dataclass(frozen=True)
class Measurements:
    """The views as arrays, so that many answers can be held against them quickly. Legend: V views, M corners in all."""

    arm_poses: Float[np.ndarray, "V 7"]
    """A_i"""
    view_of: Int[np.ndarray, " M"]
    """Which view a corner is of."""
    points: Float[np.ndarray, "M 3"]
    pixels: Float[np.ndarray, "M 2"]
    intrinsics: Intrinsics

    def only(self, views: Sequence[int]) -> "Measurements":
        """Those of `views`, numbered anew."""
        number = np.full(len(self.arm_poses), -1)
        number[list(views)] = np.arange(len(views))
        kept = number[self.view_of] >= 0
        return Measurements(
            self.arm_poses[list(views)],
            number[self.view_of[kept]],
            self.points[kept],
            self.pixels[kept],
            self.intrinsics,
        )

    def in_camera(self, camera_pose: np.ndarray, board_pose: np.ndarray) -> np.ndarray:
        """X⁻¹ A_i Y p_k (M, 3)."""
        chain = rigid.compose(rigid.compose(rigid.inverse(camera_pose)[None], self.arm_poses), board_pose[None])
        return rigid.apply(chain[self.view_of], self.points)

    def errors(self, camera_pose: np.ndarray, board_pose: np.ndarray) -> np.ndarray:
        """Predicted minus seen (M, 2) [pixels]."""
        x, y, z = self.in_camera(camera_pose, board_pose).T
        z = np.maximum(z, 1e-3)  # a first guess may put the board behind the camera
        k = self.intrinsics
        return np.stack([k.fx * x / z + k.cx, k.fy * y / z + k.cy], axis=-1) - self.pixels

    def view_rms(self, camera_pose: np.ndarray, board_pose: np.ndarray) -> np.ndarray:
        """Root mean square error of each view (V,) [pixels]."""
        squares = (self.errors(camera_pose, board_pose) ** 2).sum(axis=-1)
        return np.sqrt(np.bincount(self.view_of, squares) / np.bincount(self.view_of))


def measurements(
    views: Sequence[View], board: CharucoBoard, intrinsics: Intrinsics, mounting: Mounting
) -> Measurements:
    """`views` as arrays. Raises ValueError for an unknown mounting."""
    if mounting not in MOUNTINGS:
        raise ValueError(f"a camera's mounting must be one of {', '.join(MOUNTINGS)}, got {mounting!r}")
    poses = np.stack([view.gripper_pose for view in views])
    return Measurements(
        poses if mounting == "fixed" else rigid.inverse(poses),
        np.repeat(np.arange(len(views)), [len(view.corners.ids) for view in views]),
        np.concatenate([board.corners[view.corners.ids] for view in views]),
        np.concatenate([view.corners.pixels for view in views]),
        intrinsics,
    )


def solve(views: Sequence[View], board: CharucoBoard, intrinsics: Intrinsics, mounting: Mounting) -> HandEye:
    """The camera's and the board's pose from `views`, without those that do not fit the others.

    `hand_eye_quality.check_views` says whether views are enough and differ enough; here that is taken for granted.
    """
    measured = measurements(views, board, intrinsics, mounting)
    starts = _closed_forms(measured, [board.pose(view.corners, intrinsics) for view in views])
    camera, board_pose = min(
        (refine(measured, *start, loss="cauchy") for start in starts),
        key=lambda answer: float(np.median(measured.view_rms(*answer))),
    )
    rms = measured.view_rms(camera, board_pose)
    used = tuple(np.flatnonzero(rms <= max(OUTLIER * float(np.median(rms)), OUTLIER_FLOOR)).tolist())
    kept = measured.only(used)
    camera, board_pose = refine(kept, camera, board_pose)
    error = float(np.sqrt((kept.errors(camera, board_pose) ** 2).sum(axis=-1).mean()))
    return HandEye(camera, board_pose, used, error)


def refine(
    measured: Measurements,
    camera_pose: np.ndarray,
    board_pose: np.ndarray,
    loss: Literal["linear", "cauchy"] = "linear",
) -> tuple[np.ndarray, np.ndarray]:
    """Camera and board pose (7,) that make the reprojection errors least, near those given."""

    def moved(step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _moved(camera_pose, step[:6]), _moved(board_pose, step[6:])

    answer = least_squares(
        lambda step: measured.errors(*moved(step)).ravel(), np.zeros(12), loss=loss, f_scale=PIXEL_SCALE
    )
    return moved(answer.x)


def measure_scales(measured: Measurements, answer: HandEye) -> tuple[float, float]:
    """The board's size over what it is said to be, and the focal length over what it is said to be, that fit `measured` best.

    The arm's motion is the measure of both: with a wrong one the camera is put too near or too far, and little else shows it.
    """
    k = measured.intrinsics

    def errors(step: np.ndarray) -> np.ndarray:
        scaled = replace(
            measured,
            points=measured.points * (1 + step[12]),
            intrinsics=replace(k, fx=k.fx * (1 + step[13]), fy=k.fy * (1 + step[13])),
        )
        return scaled.errors(_moved(answer.camera_pose, step[:6]), _moved(answer.board_pose, step[6:12])).ravel()

    step = least_squares(errors, np.zeros(14), x_scale="jac").x
    return float(1 + step[12]), float(1 + step[13])


def _moved(pose: np.ndarray, step: np.ndarray) -> np.ndarray:
    """`pose` (7,) moved by `step` (6,): position [m], then rotation vector [rad]."""
    turned = rotations.multiply(pose[3:], rotations.from_rotation_vector(step[3:]))
    return np.concatenate([pose[:3] + step[:3], rotations.normalise(turned)])


def _closed_forms(measured: Measurements, boards_in_camera: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Starts (X, Y). OpenCV's equation (world in camera)(base in world) = (gripper in camera)(base in gripper) is ours,
    B_i Y⁻¹ = X⁻¹ A_i, with B_i the board in the camera.
    """
    matrices = [rotations.to_matrix(pose[3:]) for pose in boards_in_camera], [pose[:3] for pose in boards_in_camera]
    arm = list(rotations.to_matrix(measured.arm_poses[:, 3:])), list(measured.arm_poses[:, :3])
    starts = []
    for method in (cv2.CALIB_ROBOT_WORLD_HAND_EYE_SHAH, cv2.CALIB_ROBOT_WORLD_HAND_EYE_LI):
        turn, step, camera_turn, camera_step = cv2.calibrateRobotWorldHandEye(*matrices, *arm, method=method)
        starts.append((rigid.inverse(_pose(camera_turn, camera_step)), rigid.inverse(_pose(turn, step))))
    return starts


def _pose(matrix: np.ndarray, position: np.ndarray) -> np.ndarray:
    turn, _ = cv2.Rodrigues(matrix)
    return np.concatenate([np.ravel(position), rotations.from_rotation_vector(np.ravel(turn))])
