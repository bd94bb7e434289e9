import re
from dataclasses import replace

import numpy as np
import pytest

from ocrrl.interface import rotations
from ocrrl.interface.frames import Frame
from ocrrl.perception.calibration.calibration_check import (
    BoardCheck,
    board_in_base,
    check_board,
    check_table,
    refuse_complaints,
)
from tests.perception.calibration.synthetic_views import BOARD
from tests.perception.calibration.table_with_board import ON_TABLE, frame_of


def off(x_mm=0.0, y_mm=0.0, z_mm=0.0, degrees=0.0, axis=(1.0, 0.0, 0.0)) -> np.ndarray:
    turn = rotations.from_rotation_vector(np.deg2rad(degrees) * np.array(axis))
    return np.concatenate([np.array([x_mm, y_mm, z_mm]) / 1000, turn])


def complaints(frame: Frame) -> str:
    try:
        refuse_complaints("front", [check_table(frame), check_board(frame, BOARD, ON_TABLE)])
    except RuntimeError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("seed", range(3))
def test_the_right_calibration_passes(seed):
    frame = frame_of(seed=seed)
    assert complaints(frame) == ""
    table, board = check_table(frame), check_board(frame, BOARD, ON_TABLE)
    assert abs(table.height_mm) < 1 and table.tilt_deg < 0.3 and table.table_share > 0.9
    assert board.position_mm < 2 and board.rotation_deg < 0.7
    assert board.depth_scale is not None and abs(board.depth_scale - 1) < 0.006


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (off(z_mm=10), "table must be within 5 mm of z = 0, got"),
        (off(y_mm=10), "table must be within 5 mm of z = 0, got"),
        (off(x_mm=10), r"board must be within 5 mm of its place, got (9|10|11)\.\d mm"),
        (off(degrees=2), "table must be level within 1 deg, got"),
        (off(degrees=2, axis=(0.0, 1.0, 0.0)), "board must be within 5 mm of its place"),
        (off(degrees=2, axis=(0.0, 0.0, 1.0)), "board must be turned at most 1.5 deg, got"),
    ],
)
def test_a_camera_that_was_moved_by_1_cm_or_2_degrees_is_refused(error, said):
    """Whatever the table alone cannot tell, the board does."""
    text = complaints(frame_of(error))
    assert re.search(rf"camera front is not where its calibration says: .*{said}.*moved; then calibrate it again", text)


@pytest.mark.parametrize("scale", [0.98, 1.02])
def test_depth_that_is_2_percent_wrong_is_refused_and_told_from_a_camera_that_moved(scale):
    frame = frame_of(depth_scale=scale)
    said = complaints(frame)
    assert "depth must be right within 1 %" in said and "table must be within 5 mm" in said
    assert "the board must be within" not in said  # seen by colour alone, it is where it should be
    assert np.isclose(check_table(frame).distance_ratio, scale, atol=0.003)


def test_things_on_the_table_do_not_matter_until_they_hide_it():
    frame = frame_of()
    things = frame.depth.copy()
    things[150:350, 200:400] -= 0.05
    assert check_table(replace(frame, depth=things)).complaints() == []
    rough = frame.depth + np.random.default_rng(0).uniform(-0.1, 0.1, frame.depth.shape).astype(np.float32)
    found = check_table(replace(frame, depth=rough)).complaints()
    assert len(found) == 1 and "one plane must hold at least 40%" in found[0]


def test_a_table_or_board_that_is_not_seen_is_said():
    frame = frame_of()
    with pytest.raises(RuntimeError, match=r"table must be seen by depth from x, y .* got 0 points there"):
        check_table(replace(frame, depth=np.zeros_like(frame.depth)))
    with pytest.raises(RuntimeError, match=r"the board \(7 x 5\) must be seen by the camera"):
        board_in_base(replace(frame, colour=np.zeros_like(frame.colour)), BOARD)


def test_without_depth_on_the_board_its_place_is_checked_alone():
    frame = frame_of()
    check = check_board(replace(frame, depth=np.zeros_like(frame.depth)), BOARD, ON_TABLE)
    assert check.depth_scale is None and check.complaints() == []
    assert BoardCheck(6.0, 0.0, None).complaints() == ["the board must be within 5 mm of its place, got 6.0 mm"]
