"""Checks that the views of a board are enough and different enough for a hand-eye calibration."""

from collections.abc import Sequence

import numpy as np

from ocrrl.interface import rotations
from ocrrl.perception.calibration.hand_eye import View

MIN_VIEWS = 12
MIN_TURN = float(np.deg2rad(5.0))
"""How far the gripper's orientations must spread about a second axis, as a standard deviation [rad].

Turns about one axis leave the place along that axis open (Tsai and Lenz 1989): two axes have to be there, well apart.
"""
MIN_IMAGE_SHARE = 0.15
"""Of the image's area that the corners of all views must span: what is seen in one place fits many cameras."""


def orientation_spread(gripper_poses: np.ndarray) -> np.ndarray:
    """Standard deviations (3,) [rad] of the orientations of `gripper_poses` (N, 7) about their principal axes, largest first."""
    quaternions = gripper_poses[:, 3:]
    # The mean rotation: the main eigenvector of the quaternions' outer products (Markley et al. 2007).
    mean = np.linalg.eigh(quaternions.T @ quaternions)[1][:, -1]
    turns = rotations.to_rotation_vector(rotations.multiply(rotations.conjugate(mean)[None], quaternions))
    return np.sqrt(np.linalg.eigvalsh(np.cov(turns.T, bias=True)).clip(0))[::-1]


def check_views(views: Sequence[View], width: int, height: int) -> None:
    """ValueError, saying what to add, if `views` of a camera of `width` x `height` pixels cannot determine where it is."""
    if len(views) < MIN_VIEWS:
        raise ValueError(
            f"a calibration must have at least {MIN_VIEWS} views of the board, got {len(views)}: take more"
        )
    spread = orientation_spread(np.stack([view.gripper_pose for view in views]))
    if spread[1] < MIN_TURN:
        raise ValueError(
            f"a calibration's views must turn the gripper by at least {np.rad2deg(MIN_TURN):.0f} deg (standard deviation) "
            f"about two axes, got {np.rad2deg(spread[0]):.1f} and {np.rad2deg(spread[1]):.1f} deg: take views that tilt the "
            "gripper 20 to 40 deg to each of four sides"
        )
    pixels = np.concatenate([view.corners.pixels for view in views])
    share = float(np.prod(np.ptp(pixels, axis=0)) / (width * height))
    if share < MIN_IMAGE_SHARE:
        raise ValueError(
            f"a calibration's views must cover at least {MIN_IMAGE_SHARE:.0%} of the image together, got {share:.0%}: take "
            "views with the board nearer to the image's corners, and nearer to the camera"
        )
