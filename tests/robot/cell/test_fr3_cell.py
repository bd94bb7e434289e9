"""Opening the hardware refuses a camera that does not see table and board where they are; nothing moves for it.

The arm is scripted, the cameras are RealSense devices in software.
"""

import threading
from contextlib import ExitStack
from datetime import date

import numpy as np
import pytest

from ocrrl.perception.cameras.software_camera import SoftwareCamera
from ocrrl.robot.cell.checked_cell import check_hardware
from ocrrl.robot.cell.fr3_cell import open_hardware
from tests.perception.calibration.synthetic_views import D435
from tests.perception.calibration.table_with_board import ON_TABLE, frame_of
from tests.robot.cell.hardware_cell import write_cell_file, write_front_calibration
from tests.robot.cell.scripted_arm import ScriptedArm

MADE = date(2026, 11, 2)
ASIDE = ON_TABLE + np.array([0.0, 0.012, 0.0, 0.0, 0.0, 0.0, 0.0])


def opened(folder, board_pose):
    """Open the cell of `folder`, whose cameras see the board at `board_pose`; the arm, which was told nothing but to close."""
    frame, arm, over = frame_of(board_pose=board_pose), ScriptedArm(), threading.Event()
    cameras = []

    def open_frame_sets(serial, width, height, fps, has_depth):
        cameras.append(SoftwareCamera(D435, fps, serial, has_depth))
        return cameras[-1]

    def push():
        while not over.wait(0.01):
            arm.pass_time(0.03)
            for camera in list(cameras):
                camera.push(frame.colour, frame.depth if camera.has_depth else None, arm.time)

    pushing = threading.Thread(target=push, daemon=True)
    pushing.start()
    try:
        with ExitStack() as stack:
            stack.callback(pushing.join)
            stack.callback(over.set)
            inner = stack.enter_context(ExitStack())
            checked = check_hardware(folder / "cells" / "fr3.yaml", MADE)
            hardware = open_hardware(checked, inner, lambda section: arm, open_frame_sets)
            assert set(hardware.cameras) == {"front", "wrist"}
    finally:
        assert arm.received == ["close"]


@pytest.mark.parametrize("check_board", [None, ON_TABLE.tolist()])
def test_a_camera_that_is_where_its_calibration_says_is_opened(tmp_path, check_board):
    write_cell_file(tmp_path, check_board=check_board)
    write_front_calibration(tmp_path, MADE)
    opened(tmp_path, ON_TABLE)


def test_a_board_that_is_not_where_it_was_noted_is_refused_and_unnoted_is_not_looked_at(tmp_path):
    write_cell_file(tmp_path, check_board=ON_TABLE.tolist())
    write_front_calibration(tmp_path, MADE)
    with pytest.raises(
        RuntimeError, match=r"camera front is not where its calibration says: the board must be within 5 mm"
    ):
        opened(tmp_path, ASIDE)
    write_cell_file(tmp_path)
    opened(tmp_path, ASIDE)
