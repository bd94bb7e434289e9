import json
from datetime import date

import numpy as np
import pytest

from ocrrl.cli import main
from ocrrl.commands.calibrate import calibrate_views
from ocrrl.interface import rigid
from ocrrl.interface.tabletop_tasks import HOME_JOINTS
from ocrrl.perception.calibration.calibration_file import CaptureSetup, read_calibration
from ocrrl.perception.calibration.view_folder import read_views, write_setup, write_view
from tests.perception.calibration.synthetic_views import BOARD, D435, SyntheticCell

SETUP = CaptureSetup("front", "0123", "fixed", D435, BOARD)
TODAY = date(2026, 11, 25)
NO_BOARD = np.full((480, 640, 3), 90, np.uint8)


@pytest.fixture(scope="module")
def cell():
    return SyntheticCell("fixed")


@pytest.fixture(scope="module")
def taken(cell, tmp_path_factory):
    """A folder of 18 images of the board, one of nothing, and one taken while the arm moved."""
    folder = tmp_path_factory.mktemp("views")
    write_setup(folder, SETUP)
    for joints in cell.joints(18):
        write_view(folder, cell.image(joints), joints)
    write_view(folder, NO_BOARD, np.array(HOME_JOINTS))
    moving = cell.joints(1)[0]
    write_view(folder, cell.image(moving), moving + 0.02)
    return folder


def test_a_folder_of_views_becomes_a_calibration(taken, cell, tmp_path, capsys):
    out = tmp_path / "front.json"
    assert main(["calibrate", "views", str(taken), "--camera", "front", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "view_018: left out, the board is not seen" in said
    assert "view_019: left out, it does not fit the others" in said
    assert "camera front from 18 views: reprojection 0." in said and f"{out}: written" in said
    calibration = read_calibration(out)
    metres, radians = rigid.distance(np.array(calibration.camera_pose), cell.camera_pose)
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
        write_view(tmp_path, cell.image(joints), joints)
    out = tmp_path / "front.json"
    assert main(["calibrate", "views", str(tmp_path), "--camera", "front", "--out", str(out)]) == 1
    assert "must have at least 12 views of the board, got 3: take more" in capsys.readouterr().err
    assert not out.exists()


def test_a_folder_that_is_none_or_damaged_is_named(taken, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"capture\.json must be a file, got nothing there; docs/calibrate\.md says"
    ):
        calibrate_views(tmp_path, "front", tmp_path / "front.json", TODAY)
    write_setup(tmp_path, SETUP)
    path = write_view(tmp_path, NO_BOARD[:240], np.array(HOME_JOINTS))
    with pytest.raises(
        ValueError, match=r"view_000\.png must be an image of shape \(480, 640, 3\), got \(240, 640, 3\)"
    ):
        list(read_views(tmp_path, D435))
    path.with_suffix(".png").unlink()
    with pytest.raises(ValueError, match="got nothing that can be read"):
        list(read_views(tmp_path, D435))
    path.write_text('{"joint_positions": [1, 2]}')
    with pytest.raises(ValueError, match=r"view_000\.json: joint_positions must be a list of 7 numbers, got \[1, 2\]"):
        list(read_views(tmp_path, D435))


@pytest.mark.parametrize("name", ["board.png", "board.pdf"])
def test_the_board_is_printed(tmp_path, capsys, name):
    assert main(["calibrate", "--board", str(tmp_path / name)]) == 0
    assert (tmp_path / name).stat().st_size > 5000 and "100 mm" in capsys.readouterr().out


def test_calibrate_needs_a_step(capsys):
    assert main(["calibrate"]) == 1
    assert "a step must be named: `ocrrl calibrate --board board.pdf` or" in capsys.readouterr().err
