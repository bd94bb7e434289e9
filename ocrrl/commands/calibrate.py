"""`ocrrl calibrate`: prints a board, and computes a camera's pose from views of it.

`live` takes the views with the camera and arm of a cell file: the arm is moved by hand, and only read. `check` makes the checks
of one camera that opening a cell makes, without connecting to an arm.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np

from ocrrl.interface.fr3_chain import FR3
from ocrrl.interface.frames import Frame
from ocrrl.perception.calibration.calibration_check import (
    BoardCheck,
    TableCheck,
    board_in_base,
    refuse_complaints,
)
from ocrrl.perception.calibration.calibration_file import CameraCalibration, CaptureSetup, write_calibration
from ocrrl.perception.calibration.charuco_board import CharucoBoard, print_board
from ocrrl.perception.calibration.hand_eye import View, solve
from ocrrl.perception.calibration.hand_eye_quality import QualityLimits, check_quality, check_views, measure_quality
from ocrrl.perception.calibration.view_folder import count_views, read_setup, read_views, write_setup, write_view
from ocrrl.perception.cameras.frames import FrameSource, first_frame
from ocrrl.perception.cameras.realsense import open_device
from ocrrl.robot.arm.arm import ArmReader, ArmState
from ocrrl.robot.arm.franky_reader import ArmSection, open_franky_reader
from ocrrl.robot.cell.cell_cameras import OpenFrameSets, open_camera, place_checks
from ocrrl.robot.cell.cell_file import read_cell_file
from ocrrl.robot.cell.checked_cell import check_calibration
from ocrrl.robot.operator.operator_prompt import Ask, ask_at_terminal

STILL_FOR = 0.4
"""The arm must have stood still so long before an image [s]; it swings after it has stopped."""
STILL = 0.001
"""Less than this no joint may have moved [rad]."""
FRAME_WITHIN = 3.0
"""After the arm stood still, a camera must give a frame [s]."""

type Write = Callable[[str], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--board", type=Path, metavar="FILE", help="print the board at true scale: .pdf or .png")
    steps = parser.add_subparsers(dest="step", metavar="[views, live, check]")
    views = steps.add_parser("views", help="calibrate a camera from a folder of views")
    views.add_argument("folder", type=Path, help="folder of images and joint positions: docs/calibrate.md")
    views.add_argument("--camera", required=True, help="name of the camera in the cell, such as front")
    views.add_argument("--out", type=Path, required=True, help="the calibration file to write (.json)")
    live = steps.add_parser("live", help="take the views from the camera and arm of a cell file, then calibrate")
    live.add_argument("--cell-file", type=Path, default=Path("cells/fr3.yaml"))
    live.add_argument("--camera", required=True, help="name of the camera in the cell file, such as front")
    live.add_argument("--folder", type=Path, required=True, help="folder of the views; an existing one is continued")
    live.add_argument("--out", type=Path, required=True, help="the calibration file to write (.json)")
    check = steps.add_parser("check", help="check a camera as opening a cell does; reads no arm, moves nothing")
    check.add_argument("cell_file", type=Path, help="such as cells/mine.yaml")
    check.add_argument("camera", help="name of the camera in the cell file, such as front")


def run(options: argparse.Namespace) -> int:
    calibrate(options, date.today())
    return 0


def calibrate(options: argparse.Namespace, today: date, write: Write = print) -> None:
    """What `options` of the command ask for: a board's print, a step, or both."""
    if not options.board and not options.step:
        raise ValueError(
            "a step must be named: `ocrrl calibrate --board board.pdf` or `ocrrl calibrate views FOLDER ...`"
        )
    if options.board:
        print_board(CharucoBoard(), options.board)
        write(f"{options.board}: print it at 100 %, then measure the line that is to be 100 mm long")
    if options.step == "views":
        calibrate_views(options.folder, options.camera, options.out, today, write)
    if options.step == "check":
        check_camera(options.cell_file, options.camera, today, write)
    if options.step == "live":
        take_views(options.cell_file, options.camera, options.folder, ask_at_terminal, write)
        calibrate_views(options.folder, options.camera, options.out, today, write)


def calibrate_views(
    folder: Path,
    camera: str,
    out: Path,
    today: date,
    write: Write = print,
    gripper_pose: Callable[[np.ndarray], np.ndarray] = FR3.gripper_pose,
    limits: QualityLimits | None = None,
) -> CameraCalibration:
    """Find where `camera` is from the views in `folder`, and write that to `out`.

    `gripper_pose` takes joint positions (N, 7) [rad] to poses (N, 7) in base. Raises ValueError, and writes nothing, if the
    views are too few, too much alike, of another camera, or give a calibration that is worse than `limits`.
    """
    setup = read_setup(folder)
    if camera != setup.camera:
        raise ValueError(
            f"{folder} must hold views of camera {camera}, got views of {setup.camera}: name that one, or its folder"
        )
    views, names = [], []
    for saved in read_views(folder, setup.intrinsics):
        corners = setup.board.find(saved.colour)
        if corners is None:
            write(f"{saved.name}: left out, the board is not seen")
            continue
        views.append(View(gripper_pose(saved.joint_positions[None])[0], corners))
        names.append(saved.name)
    check_views(views, setup.intrinsics.width, setup.intrinsics.height)
    answer = solve(views, setup.board, setup.intrinsics, setup.mounting)
    for index in sorted(set(range(len(views))) - set(answer.used)):
        write(f"{names[index]}: left out, it does not fit the others; did the arm move, or the board?")
    check_views([views[index] for index in answer.used], setup.intrinsics.width, setup.intrinsics.height)
    quality = measure_quality(answer, views, setup.board, setup.intrinsics, setup.mounting)
    calibration = CameraCalibration(
        **vars(setup),
        camera_pose=tuple(answer.camera_pose.tolist()),
        quality=quality,
        views=len(answer.used),
        made_on=today.isoformat(),
    )
    write(
        f"camera {camera} from {len(answer.used)} views: reprojection {quality.reprojection_rms_px:.2f} px, position within "
        f"{quality.position_error_mm:.1f} mm and rotation within {quality.rotation_error_deg:.2f} deg (standard errors), "
        f"views left out {quality.held_out_mm:.1f} mm off"
    )
    check_quality(quality, limits or QualityLimits())
    write_calibration(out, calibration)
    write(f"{out}: written")
    return calibration


def check_camera(
    cell_file: Path,
    camera: str,
    today: date,
    write: Write = print,
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


def take_views(
    cell_file: Path,
    camera: str,
    folder: Path,
    ask: Ask,
    write: Write = print,
    open_arm: Callable[[ArmSection], ArmReader] = open_franky_reader,
    open_frame_sets: OpenFrameSets = open_device,
) -> int:
    """Views of the board from a camera and the arm of `cell_file` into `folder`; how many there are then.

    The arm is opened to be read: nothing of it moves, and the hand keeps what it grips. Raises ValueError for a cell file that is
    wrong or a camera that it does not name, RuntimeError for an arm or camera that is not there, and as `capture_views`.
    """
    file = read_cell_file(cell_file)
    section = file.camera(camera, cell_file)
    with ExitStack() as opened:
        arm = open_arm(file.arm)
        opened.callback(arm.close)
        frames = open_camera(replace(section, depth=False, check_board=None), None, arm.now, open_frame_sets)
        opened.callback(frames.close)
        setup = CaptureSetup(
            camera=camera,
            serial=section.serial,
            mounting="wrist" if section.on_hand else "fixed",
            intrinsics=first_frame(frames).intrinsics,
            board=CharucoBoard(),
        )
        return capture_views(frames, arm.state, ask, setup, folder, write)


def capture_views(
    frames: FrameSource,
    arm_state: Callable[[], ArmState],
    ask: Ask,
    setup: CaptureSetup,
    folder: Path,
    write: Write = print,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Take views into `folder` whenever the operator says so, adding to those that are there; how many there are then.

    The operator moves the arm (by hand, in guiding mode) to show the board from another side, and answers `ask` with t to take
    the view; any other answer ends. A view is kept if the arm stood still and the board was seen. Raises ValueError if the
    folder's views were taken with something else, or the camera's intrinsics are not the setup's; RuntimeError if the camera
    or the arm fails.
    """
    write_setup(folder, setup)
    while (
        ask(f"{count_views(folder)} views. Show the board from another side, stand still; t takes a view: ").strip()
        == "t"
    ):
        before = arm_state()
        frame = _frame_after(frames, before.time + STILL_FOR, arm_state, pause)
        if frame.intrinsics != setup.intrinsics:
            raise ValueError(
                f"camera {setup.camera} must have the intrinsics {setup.intrinsics}, got {frame.intrinsics}"
            )
        after = arm_state()
        moved = float(np.abs(after.joint_positions - before.joint_positions).max())
        corners = setup.board.find(frame.colour)
        if moved > STILL:
            write(f"not taken: the arm must stand still, a joint moved by {np.rad2deg(moved):.2f} deg")
        elif corners is None:
            write("not taken: the board must be seen; too far, too oblique, hidden, or too dark")
        else:
            path = write_view(folder, frame.colour, after.joint_positions)
            write(f"{path.stem}: {len(corners.ids)} corners")
    return count_views(folder)


def _frame_after(
    frames: FrameSource, earliest: float, arm_state: Callable[[], ArmState], pause: Callable[[float], None]
) -> Frame:
    """The first frame that was taken at `earliest` [s] on the arm's clock or later."""
    while True:
        frame = frames.latest()
        if frame is not None and frame.captured >= earliest:
            return frame
        if arm_state().time > earliest + FRAME_WITHIN:
            raise RuntimeError(f"the camera must give a frame within {FRAME_WITHIN:g} s, got none: check its cable")
        pause(0.02)
