"""`ocrrl calibrate`: prints a board, and computes a camera's pose from views of it."""

import argparse
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np

from ocrrl.commands.calibrate_check import check_camera
from ocrrl.commands.calibrate_live import Write, take_views
from ocrrl.interface.fr3_chain import FR3
from ocrrl.perception.calibration.calibration_file import CameraCalibration, write_calibration
from ocrrl.perception.calibration.charuco_board import CharucoBoard, print_board
from ocrrl.perception.calibration.hand_eye import View, solve
from ocrrl.perception.calibration.hand_eye_quality import QualityLimits, check_quality, check_views, measure_quality
from ocrrl.perception.calibration.view_folder import read_setup, read_views
from ocrrl.robot.operator.operator_prompt import ask_at_terminal


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
