"""`ocrrl calibrate check`: what a camera sees against its calibration, and the pose of a board to note."""

import re
import sys
import threading
import time
from datetime import date

import numpy as np
import pytest
import yaml

from ocrrl.cli import main
from ocrrl.commands.calibrate import check_camera
from ocrrl.interface import rigid
from ocrrl.perception.cameras.software_camera import SoftwareCamera
from tests.perception.calibration.synthetic_views import D435
from tests.perception.calibration.table_with_board import CAMERA, ON_TABLE, frame_of
from tests.robot.cell.hardware_cell import write_cell_file, write_front_calibration
from tests.robot.cell.watched_robot import WatchedFranky

TODAY = date(2026, 11, 2)
TURNED = rigid.compose(CAMERA, np.array([0.0, 0.0, 0.02, 1.0, 0.0, 0.0, 0.0]))


@pytest.fixture
def check(tmp_path, monkeypatch):
    """Checks a camera through which the board is seen at a pose; what was said, once it was seen that no arm was asked."""
    franky = WatchedFranky()
    monkeypatch.setitem(sys.modules, "franky", franky)

    def run(board_pose=ON_TABLE, camera="front", colour=None):
        frame, said, over = frame_of(board_pose=board_pose), [], threading.Event()
        device = SoftwareCamera(D435)
        imaged = frame.colour if colour is None else colour

        def push():
            while not over.wait(0.01):
                device.push(imaged, frame.depth, time.monotonic())

        pushing = threading.Thread(target=push, daemon=True)
        pushing.start()
        try:
            check_camera(tmp_path / "cells" / "fr3.yaml", camera, TODAY, said.append, lambda *asked: device)
        finally:
            over.set()
            pushing.join()
            assert franky.asked == []
        return said

    return run


def test_the_board_s_pose_is_said_and_noted_it_is_checked(tmp_path, check):
    write_cell_file(tmp_path)
    write_front_calibration(tmp_path, TODAY)
    table, board = check()
    assert re.fullmatch(r"table: [+-]0\.\d mm from z = 0, tilted by 0\.\d\d deg, \d+% of what is seen there", table)
    noted = yaml.safe_load(board.splitlines()[1])["check_board"]
    metres, radians = rigid.distance(np.array(noted), ON_TABLE)
    assert metres < 0.002 and np.rad2deg(radians) < 0.7

    write_cell_file(tmp_path, check_board=noted)
    said = check()
    assert len(said) == 2 and re.match(
        r"board: 0\.\d mm and 0\.\d\d deg from its place, depth on it [+-]0\.\d %", said[1]
    )
    with pytest.raises(RuntimeError, match="board must be within 5 mm of its place"):
        check(ON_TABLE + np.array([0.012, 0, 0, 0, 0, 0, 0]))


def test_where_the_table_disagrees_no_pose_is_given_away(tmp_path, check):
    write_cell_file(tmp_path)
    write_front_calibration(tmp_path, TODAY, camera_pose=tuple(TURNED))
    with pytest.raises(
        RuntimeError, match="camera front is not where its calibration says: the table must be within 5 mm"
    ):
        check()


def test_without_a_board_the_table_is_said(tmp_path, check):
    write_cell_file(tmp_path)
    write_front_calibration(tmp_path, TODAY)
    grey = np.random.default_rng(0).integers(80, 90, (480, 640, 3), np.uint8)
    table, board = check(colour=grey)
    assert table.startswith("table: ") and board.startswith(
        "board: none to note the pose of; the board (7 x 5) must be seen"
    )


def test_a_camera_that_cannot_be_checked_is_named(tmp_path, capsys):
    path = write_cell_file(tmp_path)
    for camera, message in (
        ("wrist", "camera must be a fixed one with depth (front), got wrist"),
        ("side", f"{path}: cameras must have side, they are front, wrist"),
        ("front", "front.json must be a file, got nothing there; make it by"),
    ):
        assert main(["calibrate", "check", str(path), camera]) == 1
        assert message in capsys.readouterr().err
