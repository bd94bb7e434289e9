"""`ocrrl calibrate live`: takes views of a board with the camera and arm of a cell file, then calibrates.

The arm is moved by hand, and only read.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from ocrrl.interface.frames import Frame
from ocrrl.perception.calibration.calibration_file import CaptureSetup
from ocrrl.perception.calibration.charuco_board import CharucoBoard
from ocrrl.perception.calibration.view_folder import count_views, write_setup, write_view
from ocrrl.perception.cameras.frames import FrameSource, first_frame
from ocrrl.perception.cameras.realsense import open_device
from ocrrl.robot.arm.arm import ArmReader, ArmState
from ocrrl.robot.arm.franky_reader import ArmSection, open_franky_reader
from ocrrl.robot.cell.cell_cameras import OpenFrameSets, open_camera
from ocrrl.robot.cell.cell_file import read_cell_file
from ocrrl.robot.operator.operator_prompt import Ask

STILL_FOR = 0.4
"""The arm must have stood still so long before an image [s]; it swings after it has stopped."""
STILL = 0.001
"""Less than this no joint may have moved [rad]."""
FRAME_WITHIN = 3.0
"""After the arm stood still, a camera must give a frame [s]."""

type Write = Callable[[str], None]


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
