"""`ocrrl doctor --cell-file`: what is missing before a hardware cell can be opened."""

from datetime import date, timedelta

import pytest

from ocrrl.cli import main
from ocrrl.commands.doctor import diagnose
from tests.robot.cell.hardware_cell import SERIAL, write_cell_file, write_front_calibration

TODAY = date(2026, 11, 20)
WRIST = "000000000001"


@pytest.fixture
def findings(tmp_path):
    """Lines about the cell of `tmp_path` by their subjects, with the given cameras plugged in."""

    def look(*connected, serials=None):
        lines: list[str] = []
        path = tmp_path / "cells" / "fr3.yaml"
        diagnose(TODAY, path, lines.append, serials or (lambda: connected))
        about = lines[next(k for k, line in enumerate(lines) if str(path) in line) :]
        return about

    return look


def test_a_cell_that_is_in_order_is_found_so(tmp_path, findings):
    write_cell_file(tmp_path, check_board=[0.5, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    write_front_calibration(tmp_path, TODAY - timedelta(days=12))
    lines = findings(SERIAL, WRIST)
    assert len(lines) == 7 and all(line.startswith("ok   ") for line in lines)
    text = "\n".join(lines)
    for said in (
        "valid",
        "172.16.0.2; opening the cell asks it",
        "12 days old, refused after 30",
        f"{SERIAL}, connected",
        "none; none is needed without depth",
        f"{WRIST}, connected",
        "looked at whenever the cell is opened",
    ):
        assert said in text


def test_what_is_missing_is_named_with_its_remedy(tmp_path, findings):
    write_cell_file(tmp_path)
    write_front_calibration(tmp_path, TODAY - timedelta(days=31))
    lines = findings("7", WRIST)
    assert [line.split()[0] for line in lines] == ["ok", "ok", "MISS", "MISS", "ok", "ok", "none"]
    assert "moved along the table is not noticed  -> lay one down for good, then `ocrrl calibrate check" in lines[-1]
    assert "calibration of front" in lines[2] and "must be 0 to 30 days old, got 31" in lines[2]
    assert f"{SERIAL} is not connected, 7, {WRIST} is  -> plug it in" in lines[3]
    (tmp_path / "cells" / "front.json").unlink()
    assert "front.json must be a file, got nothing there; make it by" in findings(SERIAL, WRIST)[2]
    assert "no RealSense camera is  -> plug it in" in findings()[3]


def test_without_the_camera_s_library_that_is_what_is_missing(tmp_path, findings):
    write_cell_file(tmp_path)
    write_front_calibration(tmp_path, TODAY)

    def no_library():
        raise RuntimeError("a RealSense camera needs pyrealsense2")

    lines = findings(serials=no_library)
    assert lines[3].startswith("MISS camera front") and "-> a RealSense camera needs pyrealsense2" in lines[3]


def test_a_cell_file_that_is_wrong_is_a_finding_and_the_command_fails(tmp_path, capsys, monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)
    path = write_cell_file(tmp_path, colour="red")
    assert main(["doctor", "--cell-file", str(path)]) == 1
    assert f"MISS {path} wrong  -> {path}: cameras.front.colour is no parameter" in capsys.readouterr().out
