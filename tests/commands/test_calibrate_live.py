"""Views are taken from an arm that is read and nothing else."""

import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from ocrrl.commands.calibrate import capture_views, take_views
from ocrrl.interface.fr3_chain import FR3
from ocrrl.interface.frames import Frame
from ocrrl.interface.tabletop_tasks import HOME_JOINTS
from ocrrl.perception.calibration.calibration_file import CaptureSetup
from ocrrl.perception.calibration.charuco_board import CharucoBoard
from ocrrl.perception.calibration.view_folder import read_setup, read_views
from ocrrl.perception.cameras.realsense_reader import ReaderLimits, RealSenseReader
from ocrrl.perception.cameras.software_camera import SoftwareCamera
from ocrrl.robot.arm.arm import ArmState
from tests.perception.calibration.synthetic_views import BOARD, D435, SyntheticCell, project
from tests.robot.cell.watched_robot import RobotMode, WatchedFranky

SETUP = CaptureSetup("front", "0123", "fixed", D435, BOARD)
NO_BOARD = np.full((480, 640, 3), 90, np.uint8)


@pytest.fixture(scope="module")
def cell():
    return SyntheticCell("fixed")


class Bench:
    """A camera and an arm, moved by `answers`: each is what the operator does before answering t."""

    def __init__(self, cell: SyntheticCell, answers: list) -> None:
        self._cell, self._answers = cell, iter(answers)
        self.time, self.joints, self.drift, self.blank, self.silent = 0.0, np.array(HOME_JOINTS), 0.0, False, False
        self.asked = 0

    def ask(self, question: str) -> str:
        self.asked += 1
        try:
            next(self._answers)(self)
        except StopIteration:
            return ""
        return "t"

    def state(self) -> ArmState:
        self.joints = self.joints + self.drift
        return ArmState(self.time, np.zeros(7), self.joints, 0.08)

    def pause(self, seconds: float) -> None:
        self.time += seconds

    def latest(self) -> Frame | None:
        if self.silent:
            return None
        colour = NO_BOARD if self.blank else self._cell.image(self.joints)
        return Frame(colour, np.zeros((480, 640), np.float32), self.time - 0.05, D435, np.full(7, np.nan))

    def close(self) -> None:
        pass


def at(joints: np.ndarray, **state):
    def move(bench: Bench) -> None:
        bench.joints = joints
        bench.drift, bench.blank, bench.silent = (state.get(name, 0) for name in ("drift", "blank", "silent"))

    return move


def test_views_are_taken_when_the_operator_says_so_and_the_arm_is_still(cell, tmp_path):
    first, second = cell.joints(2)
    said: list[str] = []
    bench = Bench(cell, [at(first), at(first, drift=0.01), at(first, blank=True), at(second)])
    count = capture_views(bench, bench.state, bench.ask, SETUP, tmp_path, said.append, bench.pause)
    assert count == 2 and bench.asked == 5
    assert said[0].startswith("view_000: ") and said[3].startswith("view_001: ")
    assert "the arm must stand still, a joint moved by" in said[1] and "the board must be seen" in said[2]
    views = list(read_views(tmp_path, D435))
    assert np.allclose([view.joint_positions for view in views], [first, second])
    assert np.array_equal(views[0].colour.shape, (480, 640, 3)) and read_setup(tmp_path) == SETUP


def test_views_come_through_the_cameras_reader(cell, tmp_path):
    """The path of a live capture but for the hardware: a RealSense device in software, its reader, the capture."""
    camera = SoftwareCamera(D435, serial="0123", has_depth=False)
    postures = cell.joints(2)
    bench = Bench(cell, [at(posture) for posture in postures])
    reader = RealSenseReader(camera, lambda: bench.time, None, ReaderLimits(settle=0))

    def pause(seconds: float) -> None:
        bench.pause(seconds)
        camera.push(cell.image(bench.joints), None, bench.time)
        time.sleep(0.01)

    assert capture_views(reader, bench.state, bench.ask, SETUP, tmp_path, lambda _: None, pause) == 2
    reader.close()
    for view, posture in zip(read_views(tmp_path, D435), postures, strict=True):
        corners = BOARD.find(view.colour)
        assert corners is not None
        seen = cell.board_in_camera(FR3.gripper_pose(posture[None])[0])
        assert np.abs(corners.pixels - project(seen, BOARD.corners[corners.ids])).max() < 1.0


CELL_FILE = """
arm: {host: 10.0.0.9, collision_force: 25}
cameras:
  front: {serial: "0123", depth: true, calibration: cells/front.json, view_left: 0, view_top: 0, view_size: 480}
tracking: {camera: front}
"""


def test_live_views_are_taken_with_an_arm_that_is_only_read(cell, tmp_path, monkeypatch):
    """Guided by hand, so that it would follow nothing; the board that the hand grips stays gripped."""
    (tmp_path / "cell.yaml").write_text(CELL_FILE)
    camera = SoftwareCamera(D435, serial="0123", has_depth=False)
    franky, over = WatchedFranky(), threading.Event()
    monkeypatch.setitem(sys.modules, "franky", franky)
    posture = cell.joints(1)[0]
    franky.mode, franky.joints = RobotMode.Guiding, posture.tolist()
    opened: list[tuple] = []

    def push() -> None:
        while not over.wait(0.01):
            franky.time += 0.05
            camera.push(cell.image(posture), None, franky.time)

    answers = iter(["t", ""])
    pushing = threading.Thread(target=push, daemon=True)
    pushing.start()
    try:
        count = take_views(
            tmp_path / "cell.yaml",
            "front",
            tmp_path / "views",
            lambda question: next(answers),
            lambda _: None,
            open_frame_sets=lambda *asked: (opened.append(asked), camera)[1],
        )
    finally:
        over.set()
        pushing.join()
    assert count == 1 and opened == [("0123", 640, 480, 30, False)]
    assert read_setup(tmp_path / "views") == replace(SETUP, board=CharucoBoard())
    (view,) = read_views(tmp_path / "views", D435)
    np.testing.assert_allclose(view.joint_positions, posture)
    assert franky.asked[0] == "Robot 10.0.0.9 20 Nm 25 N enforce" and set(franky.asked[1:]) == {"state"}


def test_a_camera_that_the_cell_file_does_not_name_is_refused(tmp_path):
    (tmp_path / "cell.yaml").write_text(CELL_FILE)
    with pytest.raises(ValueError, match=r"cell\.yaml: cameras must have wrist, they are front"):
        take_views(tmp_path / "cell.yaml", "wrist", tmp_path / "views", lambda question: "")


def test_capturing_goes_on_where_it_was_and_refuses_another_setup(cell, tmp_path):
    joints = cell.joints(2)
    for number, posture in enumerate(joints):
        bench = Bench(cell, [at(posture)])
        count = capture_views(bench, bench.state, bench.ask, SETUP, tmp_path, lambda _: None, bench.pause)
        assert count == number + 1
    other = replace(SETUP, serial="9")
    with pytest.raises(ValueError, match="must hold views taken with one camera, mounting and board, got"):
        capture_views(bench, bench.state, bench.ask, other, tmp_path)


def test_an_image_is_not_older_than_the_stillness_of_the_arm(cell, tmp_path):
    """The frame that is there when the operator answers shows the arm on its way."""
    bench = Bench(cell, [at(cell.joints(1)[0])])
    capture_views(bench, bench.state, bench.ask, SETUP, tmp_path, lambda _: None, bench.pause)
    assert bench.time >= 0.4


def test_a_camera_that_gives_no_frame_ends_capturing(cell, tmp_path):
    bench = Bench(cell, [at(cell.joints(1)[0], silent=True)])
    with pytest.raises(RuntimeError, match="must give a frame within 3 s"):
        capture_views(bench, bench.state, bench.ask, SETUP, tmp_path, lambda _: None, bench.pause)


def test_a_camera_with_other_intrinsics_is_refused(cell, tmp_path):
    bench = Bench(cell, [at(cell.joints(1)[0])])
    with pytest.raises(ValueError, match="camera front must have the intrinsics"):
        other = replace(SETUP, intrinsics=replace(D435, fx=600.0))
        capture_views(bench, bench.state, bench.ask, other, tmp_path, lambda _: None, bench.pause)
