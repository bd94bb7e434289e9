"""Accuracy of a hand-eye calibration, by leaving out one view at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ocrrl.interface import rigid
from ocrrl.interface.frames import Intrinsics
from ocrrl.perception.calibration.charuco_board import CharucoBoard
from ocrrl.perception.calibration.hand_eye import HandEye, Mounting, View, measure_scales, measurements, refine


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
                raise ValueError(f"a calibration's {name} must be a number of at least 0, got {value}")


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
