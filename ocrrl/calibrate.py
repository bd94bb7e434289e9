"""`ocrrl calibrate`: print a board, take views of it, and find from them where a camera is."""

import argparse
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date
from pathlib import Path

import numpy as np

from ocrrl.perception.calibration.calibration_file import CameraCalibration, write_calibration
from ocrrl.perception.calibration.charuco_board import CharucoBoard, print_board
from ocrrl.perception.calibration.hand_eye import View, solve
from ocrrl.perception.calibration.hand_eye_quality import QualityLimits, check_quality, measure_quality
from ocrrl.perception.calibration.view_checks import check_views
from ocrrl.perception.calibration.view_folder import (
    CaptureSetup,
    count_views,
    read_setup,
    read_views,
    write_setup,
    write_view,
)
from ocrrl.perception.frames import Frame, FrameSource, first_frame
from ocrrl.perception.realsense import FrameSets
from ocrrl.perception.realsense_openers import open_device
from ocrrl.perception.realsense_reader import RealSenseReader
from ocrrl.robot.arm import Arm, ArmState
from ocrrl.robot.cell_file import read_cell_file
from ocrrl.robot.fr3 import FR3
from ocrrl.robot.franky_arm import FrankyArm
from ocrrl.robot.operator_prompt import Ask, ask_at_terminal

STILL_FOR = 0.4
"""The arm must have stood still so long before a picture [s]; it swings after it has stopped."""
STILL = 0.001
"""Less than this no joint may have moved [rad]."""
FRAME_WITHIN = 3.0
"""After the arm stood still, a camera must give a frame [s]."""

type Write = Callable[[str], None]


def calibrate(options: argparse.Namespace, today: date, write: Write = print) -> None:
    """What `options` of the command ask for: a board's print, or a calibration from a folder of views, or both."""
    if not options.board and not options.step:
        raise ValueError(
            "a step must be named: `ocrrl calibrate --board board.pdf` or `ocrrl calibrate views FOLDER ...`"
        )
    if options.board:
        print_board(CharucoBoard(), options.board)
        write(f"{options.board}: print it at 100 %, then measure the line that is to be 100 mm long")
    if options.step == "views":
        calibrate_views(options.folder, options.camera, options.out, today, write)
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
        camera=setup.camera,
        serial=setup.serial,
        mounting=setup.mounting,
        intrinsics=setup.intrinsics,
        camera_pose=answer.camera_pose,
        quality=quality,
        views=len(answer.used),
        board=setup.board,
        made_on=today,
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


def take_views(
    cell_file: Path,
    camera: str,
    folder: Path,
    ask: Ask,
    write: Write = print,
    connect: Callable[[str, bool], Arm] = FrankyArm,
    open_camera: Callable[[str, int, int, int, bool], FrameSets] = open_device,
) -> int:
    """Views of the board from a camera and the arm of `cell_file` into `folder`; how many there are then.

    The arm is read and never commanded. Raises ValueError for a cell file that is wrong or a camera that it does not name,
    RuntimeError for an arm or camera that is not there, and as `capture_views`.
    """
    file = read_cell_file(cell_file)
    if camera not in file.cameras:
        raise ValueError(f"{cell_file} must name camera {camera}, it names {', '.join(file.cameras)}")
    section = file.cameras[camera]
    with ExitStack() as opened:
        arm = connect(file.arm.host, file.arm.enforce_realtime)
        opened.callback(arm.close)
        frame_sets = open_camera(section.serial, section.width, section.height, section.frames_per_second, False)
        frames = RealSenseReader(frame_sets, arm.now)
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
