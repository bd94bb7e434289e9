"""Opens the cameras of a cell file and checks them against their calibrations."""

from collections.abc import Callable

import numpy as np

from ocrrl.interface.frames import Frame
from ocrrl.perception.calibration.calibration_check import (
    BoardCheck,
    TableCheck,
    check_board,
    check_table,
    refuse_complaints,
)
from ocrrl.perception.calibration.calibration_file import CameraCalibration
from ocrrl.perception.cameras.realsense import FrameSets, open_device
from ocrrl.perception.cameras.realsense_reader import RealSenseReader
from ocrrl.robot.cell.cell_file import CameraSection

OpenFrameSets = Callable[[str, int, int, int, bool], FrameSets]
"""A camera's framesets from its serial number, width, height, frames a second, and whether with depth."""


def open_camera(
    section: CameraSection,
    calibration: CameraCalibration | None,
    clock: Callable[[], float],
    open_frame_sets: OpenFrameSets = open_device,
) -> RealSenseReader:
    """The camera of `section`, timed on `clock` [s]; frames of one that is calibrated and fixed know where they were taken."""
    frame_sets = open_frame_sets(
        section.serial, section.width, section.height, section.frames_per_second, section.depth
    )
    pose = np.array(calibration.camera_pose) if calibration and calibration.mounting == "fixed" else None
    return RealSenseReader(frame_sets, clock, pose)


def require_place(name: str, frame: Frame, section: CameraSection, calibration: CameraCalibration) -> None:
    """Refuse camera `name` if `frame` does not agree with its `calibration`.

    Raises ValueError for other intrinsics; for a fixed camera with depth RuntimeError where the table, or the board that
    should lie at `section.check_board`, is not where it should be or not seen.
    """
    calibration.check_intrinsics(frame.intrinsics)
    if calibration.mounting == "fixed" and section.depth:
        refuse_complaints(name, place_checks(frame, section, calibration))


def place_checks(frame: Frame, section: CameraSection, calibration: CameraCalibration) -> list[TableCheck | BoardCheck]:
    """The table's check, and the board's where `section` says that one lies there. RuntimeError for what is not seen."""
    checks: list[TableCheck | BoardCheck] = [check_table(frame)]
    if section.check_board is not None:
        lies = np.array(section.check_board, float)
        lies[3:] /= np.linalg.norm(lies[3:])  # it was written with a few digits
        checks.append(check_board(frame, calibration.board, lies))
    return checks
