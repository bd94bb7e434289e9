"""A cell is put together whole, or what was begun of it ends."""

import threading
from pathlib import Path

import pytest

from ocrrl.robot.cell import arm_cell
from ocrrl.robot.cell.arm_cell import assemble
from ocrrl.robot.cell.cell_file import read_cell_file
from ocrrl.robot.cell.cell_images import CellCamera
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from tests.pipeline_copy import ROOT
from tests.robot.cell.scripted_arm import ScriptedArm
from tests.robot.cell.scripted_cell import ScriptedCamera, ScriptedOperator


class Tracker:
    """Finds nothing."""

    closed = tracked = 0

    def reset(self):
        pass

    def track(self, frame, robot):
        self.tracked += 1
        raise RuntimeError("no posture is known, so that no frame should be tracked")

    def close(self):
        self.closed += 1


class Parts:
    def __init__(self):
        self.arm, self.tracker, self.operator = ScriptedArm(), Tracker(), ScriptedOperator()
        self.file = read_cell_file(ROOT / Path("cells/fr3.yaml"))
        self.cameras = {
            name: CellCamera(ScriptedCamera(self.arm), section.view((64, 64)), {})
            for name, section in self.file.cameras.items()
        }

    def assemble(self):
        return assemble(
            "fr3", CUBE_LIFT, self.file, self.arm, self.cameras, self.tracker, self.operator, lambda fault: None
        )


@pytest.fixture
def parts():
    before = {thread.ident for thread in threading.enumerate()}
    yield (parts := Parts())
    assert not parts.tracker.tracked
    assert not [t.name for t in threading.enumerate() if t.ident not in before], "threads went on"


def test_closing_a_cell_closes_all_that_it_is_made_of(parts):
    cell = parts.assemble()
    assert {"tracker", "watchdog"} <= {thread.name for thread in threading.enumerate()}
    cell.close()
    assert parts.arm.received[-1] == "close" and parts.tracker.closed and parts.operator.events == ["close"]
    assert all(camera.frames.closed for camera in parts.cameras.values())


def test_what_was_begun_of_a_cell_that_cannot_be_put_together_ends(parts, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("no more memory")

    monkeypatch.setattr(arm_cell, "ArmEnvironment", fails)
    with pytest.raises(RuntimeError, match="no more memory"):
        parts.assemble()
    assert parts.tracker.closed and parts.arm.received == ["stop"], "the arm itself is its opener's to close"


def test_a_camera_that_was_not_opened_is_named(parts):
    del parts.cameras["wrist"]
    with pytest.raises(ValueError, match="cell fr3 must have its cameras opened, got none for wrist"):
        parts.assemble()
    assert parts.tracker.closed
