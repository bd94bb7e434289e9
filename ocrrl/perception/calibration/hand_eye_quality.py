"""Whether the views of a board determine a camera's pose, and how accurately: by leaving out one view at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ocrrl.interface import rigid, rotations
from ocrrl.interface.frames import Intrinsics
from ocrrl.perception.calibration.charuco_board import CharucoBoard
from ocrrl.perception.calibration.hand_eye import HandEye, Mounting, View, measure_scales, measurements, refine

MIN_VIEWS = 12
MIN_TURN = float(np.deg2rad(5.0))
"""How far the gripper's orientations must spread about a second axis, as a standard deviation [rad].

Turns about one axis leave the place along that axis open (Tsai and Lenz 1989): two axes have to be there, well apart.
"""
MIN_IMAGE_SHARE = 0.15
"""Of the image's area that the corners of all views must span: what is seen in one place fits many cameras."""


@dataclass(frozen=True)
class Quality:
    """Figures of a calibration; smaller is better."""

    reprojection_rms_px: float
    position_error_mm: float
    """Jackknife standard error of the camera's position (Efron and Tibshirani 1993, Eq. 11.5)."""
    rotation_error_deg: float
    """Likewise of its rotation."""
    held_out_mm: float
    """Root mean square distance between a board's corners where the image shows them and where a calibration without that
    image expects them. Holds the error of seeing one board from afar, too."""
    board_scale_percent: float
    """By how much the board is larger or smaller than it is said to be, as the arm's motion tells."""
    focal_scale_percent: float
    """Likewise of the focal length; an arm that is 0.5 mm off makes 1 % of it."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a number of at least 0, got {value}")


@dataclass(frozen=True)
class QualityLimits:
    """What a calibration must reach to be written."""

    reprojection_rms_px: float = 1.0
    position_error_mm: float = 2.0
    rotation_error_deg: float = 0.3
    held_out_mm: float = 5.0
    board_scale_percent: float = 0.7
    focal_scale_percent: float = 2.0

    def __post_init__(self) -> None:
        for name, limit in vars(self).items():
            if not limit > 0:
                raise ValueError(f"a calibration's limit of {name} must be above 0, got {limit}")


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


def measure_quality(
    answer: HandEye, views: Sequence[View], board: CharucoBoard, intrinsics: Intrinsics, mounting: Mounting
) -> Quality:
    """The quality of `answer`, which `solve` gave for `views`."""
    kept = [views[index] for index in answer.used]
    measured = measurements(kept, board, intrinsics, mounting)
    everything, cameras, squares = range(len(kept)), [], []
    for left_out in everything:
        others = measured.only([view for view in everything if view != left_out])
        camera, board_pose = refine(others, answer.camera_pose, answer.board_pose)
        cameras.append(camera)
        alone = measured.only([left_out])
        seen = rigid.apply(board.pose(kept[left_out].corners, intrinsics), alone.points)
        squares.append(((alone.in_camera(camera, board_pose) - seen) ** 2).sum(axis=-1).mean())
    apart = np.array([rigid.distance(camera, answer.camera_pose) for camera in cameras])
    # √((n-1)/n Σ d²), d from the answer to all views in place of the mean of those left out.
    position, rotation = np.sqrt((len(kept) - 1) * (apart**2).mean(axis=0))
    board_scale, focal_scale = measure_scales(measured, answer)
    return Quality(
        reprojection_rms_px=answer.reprojection_rms,
        position_error_mm=float(1000 * position),
        rotation_error_deg=float(np.rad2deg(rotation)),
        held_out_mm=float(1000 * np.sqrt(np.mean(squares))),
        board_scale_percent=100 * abs(board_scale - 1),
        focal_scale_percent=100 * abs(focal_scale - 1),
    )


def check_quality(quality: Quality, limits: QualityLimits) -> None:
    """ValueError that names each figure of `quality` beyond `limits`."""
    beyond = [
        f"{name} {got:.2f} (at most {getattr(limits, name):g})"
        for name, got in vars(quality).items()
        if got > getattr(limits, name)
    ]
    if beyond:
        raise ValueError(
            f"a calibration must be better than this one: {', '.join(beyond)}. Measure the board's squares, see that it cannot "
            "move where it is mounted, wait until the arm stands still, and take more and nearer views"
        )
