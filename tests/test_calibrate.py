import json
import threading
import time
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from ocrrl.calibrate import calibrate_views, capture_views, take_views
from ocrrl.cli import main
from ocrrl.interface.tabletop_tasks import HOME_JOINTS
from ocrrl.perception import rigid
from ocrrl.perception.calibration.calibration_file import read_calibration
from ocrrl.perception.calibration.charuco_board import CharucoBoard
from ocrrl.perception.calibration.view_folder import CaptureSetup, read_setup, read_views, write_setup, write_view
from ocrrl.perception.frames import Frame
from ocrrl.perception.realsense_reader import ReaderLimits, RealSenseReader
from ocrrl.perception.software_camera import SoftwareCamera
from ocrrl.robot.arm import ArmState
from ocrrl.robot.fr3 import FR3
from tests.perception.calibration.synthetic_views import BOARD, D435, SyntheticCell, project
from tests.robot.scripted_arm import ScriptedArm

SETUP = CaptureSetup("front", "0123", "fixed", D435, BOARD)
TODAY = date(2026, 11, 25)
NO_BOARD = np.full((480, 640, 3), 90, np.uint8)


@pytest.fixture(scope="module")
def cell():
    return SyntheticCell("fixed")


@pytest.fixture(scope="module")
def taken(cell, tmp_path_factory):
    """A folder of 18 pictures of the board, one of nothing, and one taken while the arm moved."""
    folder = tmp_path_factory.mktemp("views")
    write_setup(folder, SETUP)
    for joints in cell.joints(18):
        write_view(folder, cell.picture(joints), joints)
    write_view(folder, NO_BOARD, np.array(HOME_JOINTS))
    moving = cell.joints(1)[0]
    write_view(folder, cell.picture(moving), moving + 0.02)
    return folder


def test_a_folder_of_views_becomes_a_calibration(taken, cell, tmp_path, capsys):
    out = tmp_path / "front.json"
    assert main(["calibrate", "views", str(taken), "--camera", "front", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "view_018: left out, the board is not seen" in said
    assert "view_019: left out, it does not fit the others" in said
    assert "camera front from 18 views: reprojection 0." in said and f"{out}: written" in said
    calibration = read_calibration(out)
    metres, radians = rigid.distance(calibration.camera_pose, cell.camera_pose)
    assert metres < 0.001 and np.rad2deg(radians) < 0.1
    assert calibration.views == 18 and calibration.serial == "0123" and calibration.mounting == "fixed"


def test_the_same_views_give_the_same_file(taken, tmp_path):
    contents = []
    for name in ("a.json", "b.json"):
        calibrate_views(taken, "front", tmp_path / name, TODAY, write=lambda _: None)
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]
    assert json.loads(contents[0])["made_on"] == "2026-11-25"


def test_views_of_another_camera_are_refused(taken, tmp_path):
    with pytest.raises(ValueError, match="must hold views of camera side, got views of front"):
        calibrate_views(taken, "side", tmp_path / "side.json", TODAY)


def test_too_few_views_write_nothing(cell, tmp_path, capsys):
    write_setup(tmp_path, SETUP)
    for joints in cell.joints(3):
        write_view(tmp_path, cell.picture(joints), joints)
    out = tmp_path / "front.json"
    assert main(["calibrate", "views", str(tmp_path), "--camera", "front", "--out", str(out)]) == 1
    assert "must have at least 12 views of the board, got 3: take more" in capsys.readouterr().err
    assert not out.exists()


def test_a_folder_that_is_none_or_damaged_is_named(taken, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"capture\.json must be a file: docs/calibrate\.md says"):
        calibrate_views(tmp_path, "front", tmp_path / "front.json", TODAY)
    write_setup(tmp_path, SETUP)
    path = write_view(tmp_path, NO_BOARD[:240], np.array(HOME_JOINTS))
    with pytest.raises(
        ValueError, match=r"view_000\.png must be a picture of shape \(480, 640, 3\), got \(240, 640, 3\)"
    ):
        list(read_views(tmp_path, D435))
    path.with_suffix(".png").unlink()
    with pytest.raises(ValueError, match="got nothing that can be read"):
        list(read_views(tmp_path, D435))
    path.write_text('{"joint_positions": [1, 2]}')
    with pytest.raises(ValueError, match=r"view_000\.json: joint_positions must be 7 numbers, got \[1, 2\]"):
        list(read_views(tmp_path, D435))


@pytest.mark.parametrize("name", ["board.png", "board.pdf"])
def test_the_board_is_printed(tmp_path, capsys, name):
    assert main(["calibrate", "--board", str(tmp_path / name)]) == 0
    assert (tmp_path / name).stat().st_size > 5000 and "100 mm" in capsys.readouterr().out


def test_calibrate_needs_a_step(capsys):
    assert main(["calibrate"]) == 1
    assert "a step must be named: `ocrrl calibrate --board board.pdf` or" in capsys.readouterr().err


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
        colour = NO_BOARD if self.blank else self._cell.picture(self.joints)
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
    assert said[0] == "view_000: 24 corners" and said[3] == "view_001: 24 corners"
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
        camera.push(cell.picture(bench.joints), None, bench.time)
        time.sleep(0.01)

    assert capture_views(reader, bench.state, bench.ask, SETUP, tmp_path, lambda _: None, pause) == 2
    reader.close()
    for view, posture in zip(read_views(tmp_path, D435), postures, strict=True):
        corners = BOARD.find(view.colour)
        assert corners is not None
        seen = cell.board_in_camera(FR3.gripper_pose(posture[None])[0])
        assert np.abs(corners.pixels - project(seen, BOARD.corners[corners.ids])).max() < 1.0


CELL_FILE = """
arm: {host: 10.0.0.9}
cameras:
  front: {serial: "0123", depth: true, calibration: cells/front.json, view_left: 0, view_top: 0, view_size: 480}
tracking: {camera: front}
"""


def test_live_views_are_taken_from_the_camera_and_the_arm_of_a_cell_file(cell, tmp_path):
    (tmp_path / "cell.yaml").write_text(CELL_FILE)
    camera = SoftwareCamera(D435, serial="0123", has_depth=False)
    arm, over = ScriptedArm(), threading.Event()
    opened: list[tuple] = []

    def push() -> None:
        while not over.wait(0.01):
            arm.pass_time(0.05)
            camera.push(cell.picture(arm.measured.joint_positions), None, arm.time)

    posture = cell.joints(1)[0]
    arm.measured = replace(arm.measured, joint_positions=posture)
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
            connect=lambda host, realtime: (opened.append((host, realtime)), arm)[1],
            open_camera=lambda *asked: (opened.append(asked), camera)[1],
        )
    finally:
        over.set()
        pushing.join()
    assert count == 1 and opened == [("10.0.0.9", True), ("0123", 640, 480, 30, False)]
    assert read_setup(tmp_path / "views") == replace(SETUP, board=CharucoBoard())
    (view,) = read_views(tmp_path / "views", D435)
    np.testing.assert_allclose(view.joint_positions, posture)
    assert arm.received == ["close"]


def test_a_camera_that_the_cell_file_does_not_name_is_refused(tmp_path):
    (tmp_path / "cell.yaml").write_text(CELL_FILE)
    with pytest.raises(ValueError, match="must name camera wrist, it names front"):
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


def test_a_picture_is_not_older_than_the_stillness_of_the_arm(cell, tmp_path):
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
