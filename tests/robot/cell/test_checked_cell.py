"""What is wrong with a cell's file or its calibrations is said before anything is opened."""

from dataclasses import replace
from datetime import date, datetime

import pytest

from ocrrl.interface.cells import cell_named
from ocrrl.robot.cell.checked_cell import check_cell
from tests.perception.calibration.synthetic_views import D435
from tests.robot.cell.hardware_cell import SERIAL, write_cell_file, write_front_calibration

MADE = date(2026, 11, 2)


def noon(day: date) -> float:
    return datetime(day.year, day.month, day.day, 12).timestamp()


def check(path, day=MADE):
    return check_cell(cell_named("fr3"), path, lambda: noon(day))


def test_a_cell_and_its_calibrations_are_read_once(tmp_path):
    path = write_cell_file(tmp_path)
    write_front_calibration(tmp_path, MADE)
    checked = check(path)
    assert checked.file.cameras["front"].serial == checked.calibrations["front"].serial == SERIAL
    assert set(checked.calibrations) == {"front"}, "the wrist camera names none"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"serial": "9"}, "must be of the camera that is there, serial 000000000000, got one of 9"),
        ({"made_on": date(2026, 10, 2)}, "must be 0 to 30 days old, got 31"),
        (
            {"mounting": "wrist"},
            r"front\.json: mounting must be fixed, as cameras\.front of the cell file says, got wrist",
        ),
        ({"intrinsics": replace(D435, width=848)}, r"front\.json: intrinsics must be 640 x 480, .* got 848 x 480"),
    ],
)
def test_a_calibration_that_is_not_the_camera_s_is_refused(tmp_path, changed, message):
    path = write_cell_file(tmp_path)
    write_front_calibration(tmp_path, **{"made_on": MADE} | changed)
    with pytest.raises(ValueError, match=message):
        check(path)


def test_a_calibration_that_is_not_there_says_how_it_is_made(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"front\.json must be a file, got nothing there; make it by `ocrrl calibrate"
    ):
        check(write_cell_file(tmp_path))


def test_a_calibration_counts_from_the_day_on_which_it_was_made(tmp_path):
    """Shortly after midnight, where the day is another than in Greenwich."""
    path = write_cell_file(tmp_path)
    today = date(2026, 11, 3)
    write_front_calibration(tmp_path, today)
    for hour in (0, 23):
        check_cell(cell_named("fr3"), path, lambda hour=hour: datetime(2026, 11, 3, hour, 30).timestamp())


def test_what_a_vla_sees_is_cut_from_the_cameras_of_the_cell_file_or_refused_before_anything_opens(tmp_path):
    path = write_cell_file(tmp_path)
    write_front_calibration(tmp_path, date(2026, 11, 3))
    clock = datetime(2026, 11, 3, 12).timestamp
    views = check_cell(cell_named("fr3"), path, clock, {"front": (96, 128)}).views
    assert list(views) == ["front"] and (views["front"].height, views["front"].width) == (406, 541)
    with pytest.raises(
        ValueError, match=r"fr3.yaml: cameras\.front, for images of 64 x 256: .* inside the image of 640 x 480"
    ):
        check_cell(cell_named("fr3"), path, clock, {"front": (64, 256)})
    with pytest.raises(
        ValueError, match=r"for images of 480 x 480: .* 1 to 406 pixels high, the view's height, got 480: enl"
    ):
        check_cell(cell_named("fr3"), path, clock, {"front": (480, 480)})
    with pytest.raises(ValueError, match=r"cameras must be among those of .*fr3\.yaml, front, wrist, got 'top'"):
        check_cell(cell_named("fr3"), path, clock, {"top": (64, 64)})


def test_cells_without_hardware_have_no_calibrations_to_read(tmp_path, monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)
    assert check_cell(cell_named("wire_twin"), None, lambda: 0.0).calibrations == {}
    assert check_cell(cell_named("rehearsal"), None, lambda: 0.0) is None
    with pytest.raises(ValueError, match=r"--cell-file must come with a cell that is made of one .* got twin"):
        check_cell(cell_named("twin"), tmp_path / "cell.yaml", lambda: 0.0)


def test_a_rehearsal_takes_the_file_of_the_cell_that_it_rehearses(tmp_path):
    path = write_cell_file(tmp_path)  # its calibrations are not there: the twin has its own cameras
    checked = check_cell(cell_named("rehearsal"), path, lambda: 0.0)
    assert (
        checked.file.arm.host == "172.16.0.2"
        and checked.calibrations == {}
        and list(checked.views) == ["front", "wrist"]
    )
    with pytest.raises(ValueError, match=r"must be a cell file, it is not there"):
        check_cell(cell_named("rehearsal"), tmp_path / "other.yaml", lambda: 0.0)
