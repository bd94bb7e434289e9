import json
import random
from dataclasses import replace
from datetime import date

import pytest

from ocrrl.perception.calibration.calibration_file import CameraCalibration, read_calibration, write_calibration
from ocrrl.perception.calibration.hand_eye_quality import Quality
from tests.perception.calibration.synthetic_views import BOARD, D435

BAD_VALUES = (
    *("null", "true", "-1", "0", "1e400", "1e300", "9" * 400, "9" * 5000, "NaN", "-Infinity", '""', '"\\u001b[2J"', '"x"', "[]", "{}"),
    *("[1, 2]", "[" * 100_000, '{"a": ' * 100_000, "[[[1]]]", '"\ud800"', '{"width": 1}', '"2026-02-31"', "1.5", '"\\u0000"'),
)  # fmt: skip
CALIBRATION = CameraCalibration(
    camera="front",
    serial="0123",
    mounting="fixed",
    intrinsics=D435,
    camera_pose=(1.0, 0.1, 0.6, 0.5, 0.5, -0.5, -0.5),
    quality=Quality(0.21, 0.6, 0.05, 1.4, 0.1, 0.3),
    views=20,
    board=BOARD,
    made_on="2026-11-02",
)


def test_a_calibration_reads_back_as_it_was_written(tmp_path):
    path = tmp_path / "front.json"
    write_calibration(path, CALIBRATION)
    assert read_calibration(path) == CALIBRATION


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("format_version", 2, "format_version must be 1, got 2"),
        ("format_version", None, "format_version must be 1, got None"),
        ("camera", "", "camera must be a text that is not empty, got ''"),
        ("serial", 123, "serial must be text, got 123"),
        ("mounting", "ceiling", "mounting must be one of fixed, wrist, got 'ceiling'"),
        ("intrinsics", [1, 2], r"intrinsics must be a mapping of width, height, .*, got \[1, 2\]"),
        ("intrinsics.fx", "600", r"intrinsics\.fx must be 600.0, got '600'"),
        ("intrinsics.fx", -1.0, r"intrinsics\.width, height, fx and fy must be above 0"),
        ("intrinsics.width", 640.5, r"intrinsics\.width must be a whole number, got 640.5"),
        ("intrinsics.k1", 0.1, r"intrinsics\.k1 is no parameter; the parameters are width, height, fx, fy, cx, cy"),
        ("camera_pose", [0.0] * 6, "camera_pose must be a position and a unit quaternion wxyz"),
        ("camera_pose", [0.0] * 6 + [None], r"camera_pose\[6\] must be a number, got None"),
        ("camera_pose", [0.0] * 7, "camera_pose must be a position and a unit quaternion wxyz"),
        ("quality.held_out_mm", True, r"quality\.held_out_mm must be a number, got True"),
        ("quality.held_out_mm", -1.0, r"quality\.held_out_mm must be a number of at least 0"),
        ("views", 0, "views must be at least 1, got 0"),
        ("board.rows", 2, r"board\.columns and rows must be at least 3 squares, got 7x2"),
        ("board.square", float("nan"), r"board\.square must be a finite number, got nan"),
        ("made_on", "yesterday", "made_on must be a date such as 2026-11-30, got 'yesterday'"),
        ("notes", "x", "notes is no parameter; the parameters are camera, serial"),
    ],
)
def test_a_field_that_is_wrong_is_named_with_what_to_do(tmp_path, field, value, said):
    path = tmp_path / "front.json"
    write_calibration(path, CALIBRATION)
    content = json.loads(path.read_text())
    section, _, name = field.rpartition(".")
    (content[section] if section else content)[name] = value
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"front\.json: {said}.*`ocrrl calibrate views FOLDER .*front\.json`"):
        read_calibration(path)


@pytest.mark.parametrize("field", ["format_version", "camera_pose", "quality", "made_on", "board", "board.rows"])
def test_a_field_that_is_missing_is_named(tmp_path, field):
    path = tmp_path / "front.json"
    write_calibration(path, CALIBRATION)
    content = json.loads(path.read_text())
    section, _, name = field.rpartition(".")
    del (content[section] if section else content)[name]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"front\.json: {field} must be (there|given|1, got None)"):
        read_calibration(path)


def test_what_is_no_calibration_is_refused(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"none\.json must be a file, got nothing there; make it by `ocrrl calibrate views"
    ):
        read_calibration(tmp_path / "none.json")
    for text, said in (("{", "must be JSON"), ("[]", r"must be a mapping of camera, .*, got \[\]")):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(ValueError, match=rf"bad\.json {said}|bad\.json: {said}"):
            read_calibration(tmp_path / "bad.json")


def test_a_calibration_is_good_for_its_camera_and_a_while():
    CALIBRATION.check("0123", date(2026, 11, 16), max_age_days=14)
    CALIBRATION.check("0123", date(2026, 11, 2), max_age_days=14)
    CALIBRATION.check_intrinsics(replace(D435, fx=D435.fx + 0.001))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"serial": "9"},
            "that is there, serial 9, got one of 0123: calibrate it again: `ocrrl calibrate views FOLDER",
        ),
        ({"today": date(2026, 11, 17)}, r"0 to 14 days old, got 15 \(made on 2026-11-02"),
        ({"today": date(2026, 11, 1)}, "got -1"),
    ],
)
def test_another_camera_or_an_old_calibration_is_refused(changed, said):
    right = {"serial": "0123", "today": date(2026, 11, 3), "max_age_days": 14}
    with pytest.raises(ValueError, match=said):
        CALIBRATION.check(**right | changed)


def test_a_camera_with_other_intrinsics_is_refused():
    with pytest.raises(ValueError, match="other in width, fx: open it with the resolution"):
        CALIBRATION.check_intrinsics(replace(D435, fx=620.0, width=848))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"mounting": "ceiling"}, "mounting must be one of fixed, wrist, got 'ceiling'"),
        ({"views": 0}, "views must be at least 1, got 0"),
        ({"camera_pose": (0.0,) * 7}, "a position and a unit quaternion"),
    ],
)
def test_a_calibration_that_is_none_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        replace(CALIBRATION, **wrong)


@pytest.mark.parametrize("wrong", [-0.1, float("nan")])
def test_a_quality_that_is_no_number_of_at_least_0_is_refused(wrong):
    with pytest.raises(ValueError, match="position_error_mm must be a number of at least 0"):
        replace(CALIBRATION.quality, position_error_mm=wrong)


def test_a_damaged_calibration_is_read_or_refused_in_one_line(tmp_path):
    path, chosen, refused = tmp_path / "front.json", random.Random(19), 0
    write_calibration(path, CALIBRATION)
    sound = path.read_text()
    places = [
        (section, key)
        for section, value in json.loads(sound).items()
        for key in (value if isinstance(value, dict) else [None])
    ]
    for number in range(300):
        content = bytearray(sound.encode())
        if number % 3:
            section, key = chosen.choice(places)
            damaged, value = json.loads(sound), chosen.choice(BAD_VALUES)
            (damaged if key is None else damaged[section])[key or section] = "@"
            content = json.dumps(damaged).replace('"@"', value).encode("utf-8", "surrogatepass")
        elif number % 2:
            content[chosen.randrange(len(content))] ^= 1 << chosen.randrange(8)
        else:
            del content[chosen.randrange(len(content)) :]
        path.write_bytes(content)
        try:
            read_calibration(path)
        except ValueError as error:
            refused += 1
            assert "front.json" in str(error) and str(error).isprintable() and len(str(error)) < 1500, content
    assert refused > 200
