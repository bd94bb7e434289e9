"""A cell file holds what a cell needs and nothing else, and says what is wrong with it."""

import math
import time
from pathlib import Path

import pytest
import yaml

from ocrrl.robot.cell.cell_file import TRACKING_CEILINGS, read_cell_file
from tests.yaml_mutations import mutations

PROJECT = Path(__file__).parents[3]


@pytest.fixture
def fr3():
    return yaml.safe_load((PROJECT / "cells" / "fr3.yaml").read_text())


@pytest.fixture
def read(tmp_path):
    def write_and_read(sections):
        path = tmp_path / "cell.yaml"
        path.write_text(yaml.safe_dump(sections))
        return read_cell_file(path)

    return write_and_read


@pytest.mark.parametrize("name", ["fr3", "wire_twin"])
def test_the_files_that_come_with_the_project_are_cells(name):
    cell = read_cell_file(PROJECT / "cells" / f"{name}.yaml")
    assert set(cell.cameras) == {"front", "wrist"} and cell.cameras[cell.tracking.camera].depth


def test_what_is_left_out_has_its_default(fr3, read):
    del fr3["limits"], fr3["max_calibration_age_days"]
    cell = read(fr3)
    assert cell.limits.max_speed == 0.85 and cell.max_calibration_age_days == 30.0


def changed(*keys, to):
    def change(sections):
        for key in keys[:-1]:
            sections = sections[key]
        sections[keys[-1]] = to

    return change


def without(*keys):
    def change(sections):
        for key in keys[:-1]:
            sections = sections[key]
        del sections[keys[-1]]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed("colour", to="red"), "cell.yaml: colour is no parameter; the parameters are arm, cameras,"),
        (without("arm"), "cell.yaml: arm must be given"),
        (without("arm", "host"), "arm.host must be given"),
        (changed("arm", "port", to=1), "arm.port is no parameter"),
        (changed("arm", "host", to=" "), "arm.host must be the robot's address"),
        (without("cameras", "front", "serial"), "cameras.front.serial must be given"),
        (
            changed("cameras", "front", "serial", to=123),
            "cameras.front.serial must be text, got 123; write it in quotes",
        ),
        (
            changed("cameras", "front", "view_size", to=500),
            "cameras.front.view_size must keep the square within 640 x 480",
        ),
        (
            changed("cameras", "front", "calibration", to=""),
            "cameras.front.calibration must name the camera's calibration",
        ),
        (
            changed("tracking", "camera", to="wrist"),
            r"tracking.camera must be a fixed camera with depth \(front\), got 'wrist'",
        ),
        (
            changed("cameras", "front", "on_hand", to=True),
            r"tracking.camera must be a fixed camera with depth \(none\), got 'front'",
        ),
        (changed("cameras", "front", "check_board", to=[0.4, 0.1, 0.0]), "cameras.front.check_board must be 7 numbers"),
        (changed("cameras", "front", "check_board", to=[]), "cameras.front.check_board must be 7 numbers"),
        (changed("cameras", "front", "check_board", to=0.4), "cameras.front.check_board must be a list"),
        (
            changed("cameras", "front", "check_board", to=[0.4, 0.1, 0.0, 1.0, 1.0, 0.0, 0.0]),
            "check_board must be 7 numbers, a position in metres and a unit quaternion wxyz",
        ),
        (
            changed("cameras", "front", "check_board", to=[float("nan"), 0.1, 0.0, 1.0, 0.0, 0.0, 0.0]),
            r"cameras.front.check_board\[0\] must be a finite number, got nan",
        ),
        (
            changed("cameras", "wrist", "check_board", to=[0.4, 0.1, 0.0, 1.0, 0.0, 0.0, 0.0]),
            "cameras.wrist.check_board must be left out but for a fixed camera with depth",
        ),
        (
            changed("tracking", "estimator", to="magic"),
            "tracking.estimator must be one of geometric, remote, got 'magic'",
        ),
        (changed("tracking", "estimator", to="remote"), "tracking.address must be given for the remote estimator"),
        (changed("tracking", "max_age", to=0), "tracking.max_age must be above 0 and at most 1, got 0"),
        (
            changed("arm", "collision_force", to=200.0),
            "arm.collision_force must be above 0 and at most 60, got 200.0",
        ),
        (changed("arm", "collision_torque", to=0), "arm.collision_torque must be above 0 and at most 40, got 0"),
        (changed("limits", "max_speed", to=-1), "limits.max_speed must be a number above 0, got -1"),
        (
            changed("limits", "max_speed", to=100.0),
            "limits.max_speed must be at most 1.0, whatever the cell, got 100.0",
        ),
        (
            changed("limits", "joint_inset", to=0.005),
            "limits.joint_inset must be at least 0.03 rad, whatever the cell, got 0.005",
        ),
        (changed("limits", "workspace_high", to=[5.0, 0.4, 0.6]), "must be within 1.0 m of the base"),
        (changed("cameras", "wrist", "serial", to="000000000000"), "must have serial numbers of their own"),
        (changed("max_calibration_age_days", to=-1), "max_calibration_age_days must be above 0"),
        *(
            (changed("tracking", name, to=value), rf"tracking\.{name} must be {said}")
            for name, most in TRACKING_CEILINGS.items()
            for value, said in (
                (math.inf, "a finite number, got inf"),
                (math.nan, "a finite number, got nan"),
                (most * 1.01, f"above 0 and at most {most:g}, got"),
                ("soon", "a number, got 'soon'"),
            )
        ),
        (
            changed("max_calibration_age_days", to=math.inf),
            r"max_calibration_age_days must be a finite number, got inf",
        ),
        (changed("max_calibration_age_days", to=1e6), r"max_calibration_age_days must be above 0 and at most 365, got"),
        (changed("cameras", "front", "frames_per_second", to=-1), r"front\.frames_per_second must be 1 to 90, got -1"),
        (
            changed("cameras", "front", "frames_per_second", to=10**30),
            r"front\.frames_per_second must be a whole number",
        ),
        (changed("cameras", "front", "width", to=10**6), r"front\.width must be 1 to 4096, got 1000000"),
        (changed("cameras", "front", "check_board", to=[9.0, 0, 0, 1, 0, 0, 0]), r"within 3 m of the base, got"),
        (changed("cameras", "front", "serial", to="a b"), r"serial must be the camera's serial number, one word, got"),
        (changed("cameras", "Front", to={}), r"cameras\.Front\.serial must be given"),
        (changed("cameras", to=None), r"cell.yaml: cameras must be a mapping of names to mappings of serial, "),
        (changed("arm", "enforce_realtime", to="no"), r"arm\.enforce_realtime must be true or false, got 'no'"),
        (changed("arm", "collision_torque", to=math.nan), r"arm\.collision_torque must be a finite number, got nan"),
        (changed("limits", "workspace_low", to=[0.3, 0.1]), r"limits\.workspace_low must be a list of 3 numbers, got"),
        (changed("limits", "max_jump", to=[0.1]), r"limits\.max_jump must be a number, got \[0.1\]"),
        (changed("limits", "workspace_low", to=[9, 9, 9]), "limits.workspace_low must be below workspace_high"),
    ],
)
def test_what_is_wrong_is_named_with_the_file_and_what_was_required(fr3, read, change, message):
    change(fr3)
    with pytest.raises(ValueError, match=message) as raised:
        read(fr3)
    assert "cell.yaml" in str(raised.value)


@pytest.mark.parametrize("name", ["fr3", "wire_twin"])
def test_a_damaged_cell_file_is_read_or_refused_in_one_line(name, tmp_path):
    path, refused = tmp_path / "cell.yaml", 0
    for done, content in mutations((PROJECT / "cells" / f"{name}.yaml").read_text(), count=300, seed=19):
        path.write_bytes(content)
        start = time.perf_counter()
        try:
            cell = read_cell_file(path)
        except ValueError as error:
            refused += 1
            said = str(error)
            assert str(path) in said and said.isprintable() and len(said) < 2000, done
        else:
            assert cell.tracking.max_age <= 1 and cell.limits.max_speed <= 1 and cell.max_calibration_age_days <= 365, (
                done
            )
        assert time.perf_counter() - start < 2, done
    assert refused > 200


def test_a_key_that_comes_twice_is_refused(tmp_path):
    text = (PROJECT / "cells" / "fr3.yaml").read_text() + "limits: {max_speed: 0.2}\n"
    (tmp_path / "cell.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"limits must be there once, got it on lines \d+ and \d+"):
        read_cell_file(tmp_path / "cell.yaml")


def test_a_file_that_is_not_there_or_no_yaml_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match=r"copy cells/fr3.yaml and edit it"):
        read_cell_file(tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("arm: [")
    with pytest.raises(ValueError, match="must be YAML"):
        read_cell_file(tmp_path / "broken.yaml")
