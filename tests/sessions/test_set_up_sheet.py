"""The operator beside hardware is told how to set the table, and shown it."""

import os
import pty
from contextlib import ExitStack
from datetime import date

import cv2
import pytest

from ocrrl.interface.cells import CELLS
from ocrrl.robot.cell.checked_cell import check_hardware
from ocrrl.robot.operator.operator_at_terminal import OperatorAtTerminal
from ocrrl.robot.operator.terminal_keys import TerminalKeys
from ocrrl.sessions.set_up_sheet import operator_beside
from ocrrl.worlds import make_scene
from tests.robot.cell.hardware_cell import write_cell_file, write_front_calibration

TODAY = date(2026, 11, 2)


@pytest.fixture
def checked(tmp_path):
    path = write_cell_file(tmp_path)
    write_front_calibration(tmp_path, TODAY)
    return check_hardware(path, TODAY)


def test_setting_the_table_is_asked_with_places_and_an_image_of_the_calibrated_camera(tmp_path, checked, monkeypatch):
    typing, terminal = pty.openpty()
    asked = []
    with ExitStack() as opened:
        operator = operator_beside(
            CELLS["fr3"], make_scene("cube_lift"), checked, tmp_path / "monday", opened, TerminalKeys(terminal)
        )
        assert isinstance(operator, OperatorAtTerminal)
        monkeypatch.setattr(operator, "_ask", lambda question: asked.append(question) or "y")
        operator.clear()
        operator.set_up(1_500_123)
        operator.close()
    os.close(typing)
    os.close(terminal)
    path = tmp_path / "monday" / "initial_states" / "1500123.png"
    legend, cuboid, shown, question = asked[1].splitlines()
    assert legend.startswith("Initial state 1500123 (in base, cm: x away from the robot")
    assert cuboid.startswith("  cuboid: x ") and shown == f"  as camera front sees it: {path}"
    assert question.startswith("Set the table for initial state 1500123, then hands off.")
    image = cv2.imread(str(path))
    assert image.shape == (480, 640, 3) and image.std() > 10


def test_where_no_hardware_is_nobody_is_shown_anything(tmp_path):
    with ExitStack() as opened:
        for name in ("rehearsal", "wire_twin"):
            assert operator_beside(CELLS[name], make_scene("cube_lift"), None, tmp_path, opened) is None
    assert not any(tmp_path.iterdir())
