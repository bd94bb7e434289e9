"""A cell file's tracker."""

import pytest

from ocrrl.interface.fr3_chain import FR3
from ocrrl.perception.remote import sam2_masks
from ocrrl.perception.remote.client import RemoteTracker
from ocrrl.perception.tracking.geometric_tracker import GeometricTracker
from ocrrl.robot.cell.arm_cell import make_tracker
from ocrrl.robot.cell.cell_file import TrackingSection
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT


def test_the_default_needs_nothing_but_this_machine():
    assert isinstance(make_tracker(CUBE_LIFT, TrackingSection("front"), FR3), GeometricTracker)


def test_a_remote_one_registers_by_masks_and_asks_the_address(monkeypatch):
    asked = []
    monkeypatch.setattr(sam2_masks, "load_sam2", lambda point_of: asked.append(point_of))
    section = TrackingSection("front", "remote", "tcp://127.0.0.1:5999")
    tracker = make_tracker(CUBE_LIFT, section, FR3)
    assert isinstance(tracker, RemoteTracker) and len(asked) == 1


def test_a_remote_one_without_an_address_is_refused():
    with pytest.raises(ValueError, match="address must be given for the remote estimator"):
        TrackingSection("front", "remote")
