"""`ocrrl calibrate check`: the checks that opening a cell makes of one camera, without connecting to an arm."""

import time
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path

from ocrrl.interface.frames import Frame
from ocrrl.perception.calibration.calibration_check import (
    BoardCheck,
    TableCheck,
    board_in_base,
    refuse_complaints,
)
from ocrrl.perception.calibration.charuco_board import CharucoBoard
from ocrrl.perception.cameras.frames import first_frame
from ocrrl.perception.cameras.realsense import open_device
from ocrrl.robot.cell.cell_cameras import OpenFrameSets, open_camera, place_checks
from ocrrl.robot.cell.cell_file import read_cell_file
from ocrrl.robot.cell.checked_cell import check_calibration


def check_camera(
    cell_file: Path,
    camera: str,
    today: date,
    write: Callable[[str], None] = print,
    open_frame_sets: OpenFrameSets = open_device,
) -> None:
    """Say how far the table, and the board of the cell file's `check_board`, are from where `camera` should see them.

    Without `check_board` the pose of the board that is seen is said, to be put there. Raises as `check_calibration` and
    `require_place` do, ValueError for a camera that is not fixed with depth.
    """
    file = read_cell_file(cell_file)
    section = file.camera(camera, cell_file)
    if section.on_hand or not section.depth:
        fit = [name for name, other in file.cameras.items() if other.depth and not other.on_hand]
        raise ValueError(f"camera must be a fixed one with depth ({', '.join(fit)}), got {camera}")
    calibration = check_calibration(camera, file, today)
    with closing(open_camera(section, calibration, time.monotonic, open_frame_sets)) as frames:
        frame = first_frame(frames)
    calibration.check_intrinsics(frame.intrinsics)
    checks = place_checks(frame, section, calibration)
    for check in checks:
        write(_table(check) if isinstance(check, TableCheck) else _board(check))
    refuse_complaints(camera, checks)
    if section.check_board is None:
        write(_pose_to_note(frame, calibration.board, camera))


def _table(check: TableCheck) -> str:
    return (
        f"table: {check.height_mm:+.1f} mm from z = 0, tilted by {check.tilt_deg:.2f} deg, "
        f"{check.table_share:.0%} of what is seen there"
    )


def _board(check: BoardCheck) -> str:
    depth = "not seen" if check.depth_scale is None else f"{100 * (check.depth_scale - 1):+.1f} %"
    return f"board: {check.position_mm:.1f} mm and {check.rotation_deg:.2f} deg from its place, depth on it {depth}"


def _pose_to_note(frame: Frame, board: CharucoBoard, camera: str) -> str:
    """The key for the cell file. Only the calibration says where the board is: noted later, it would hide a camera's move."""
    try:
        pose = board_in_base(frame, board)
    except RuntimeError as error:
        return f"board: none to note the pose of; {error}"
    numbers = ", ".join(f"{number:.5f}" for number in pose)
    return (
        f"board: right after calibrating, and if the board is fixed to the table, put under cameras.{camera} of the cell file\n"
        f"    check_board: [{numbers}]"
    )
