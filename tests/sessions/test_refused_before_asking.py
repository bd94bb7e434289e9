"""On hardware, whatever can be refused without an approval is refused before anybody is asked for one."""

import json
import os
import pty
import sys
import time
from datetime import date, timedelta

import pytest

from ocrrl.cli import main
from ocrrl.layout import Layout
from ocrrl.policies.latency_file import policy_kind, write_latency
from ocrrl.robot.operator.approval import issue
from tests.robot.cell.hardware_cell import write_cell_file, write_front_calibration
from tests.robot.cell.watched_robot import WatchedFranky
from tests.untrained_models import write_untrained_image_residual, write_untrained_models

LAYOUT = Layout("cube_lift")
ON_HARDWARE = ("cube_lift", "--cell", "fr3", "--session", "monday", "--episodes", "2")
ROLLOUT, EVALUATE = ("rollout", *ON_HARDWARE), ("evaluate", *ON_HARDWARE)
BY_HAND = ("teleoperate", *ON_HARDWARE, "--device", "spacemouse")
COMMANDS = pytest.mark.parametrize("command", [ROLLOUT, EVALUATE, BY_HAND], ids=lambda command: command[0])


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A cell that is in order, a terminal, an approval that nobody has looked at yet, and a robot that is not there."""
    monkeypatch.chdir(tmp_path)
    write_cell_file(tmp_path)
    write_front_calibration(tmp_path, date.today())
    write_untrained_models(LAYOUT)
    typing, terminal = pty.openpty()
    monkeypatch.setattr(sys, "stdin", os.fdopen(terminal))
    monkeypatch.setenv("OCRRL_APPROVAL", issue("fr3", "monday", "cube_lift", 2, "Ada", time.time))
    franky = WatchedFranky()
    franky.lost = "no route to host"
    monkeypatch.setitem(sys.modules, "franky", franky)
    monkeypatch.setattr("ocrrl.robot.teleoperation.open_device.open_spacemouse", lambda axes: Device())
    yield tmp_path, franky
    os.close(typing)


class Device:
    def end(self):
        pass

    def close(self):
        pass


def refused(command, capsys, franky):
    """What the command says; the approval was not looked at, so that nobody would have been asked."""
    assert main(command) == 1
    assert "OCRRL_APPROVAL" in os.environ and franky.asked == []
    assert not LAYOUT.session("fr3", "monday").exists()
    return capsys.readouterr().err


@COMMANDS
def test_what_is_in_order_is_opened_with_the_approval(lab, command, capsys):
    _, franky = lab
    assert main(command) == 1
    assert "robot 172.16.0.2 cannot be reached: no route to host" in capsys.readouterr().err
    assert "OCRRL_APPROVAL" not in os.environ and franky.asked == ["Robot 172.16.0.2 20 Nm 30 N enforce"]


@COMMANDS
def test_without_an_approval_nothing_is_opened(lab, command, capsys, monkeypatch):
    _, franky = lab
    monkeypatch.delenv("OCRRL_APPROVAL")
    assert main(command) == 1
    assert "cell fr3 moves only with an operator's approval, got none" in capsys.readouterr().err
    assert franky.asked == []


@COMMANDS
def test_a_cell_file_that_is_wrong_or_missing(lab, command, capsys):
    folder, franky = lab
    write_cell_file(folder, colour="red")
    assert "cameras.front.colour is no parameter" in refused(command, capsys, franky)
    (folder / "cells" / "fr3.yaml").unlink()
    assert "cells/fr3.yaml must be a cell file, it is not there" in refused(command, capsys, franky)


@COMMANDS
def test_a_calibration_that_is_missing_old_or_another_camera_s(lab, command, capsys):
    folder, franky = lab
    write_front_calibration(folder, date.today() - timedelta(days=31))
    assert "must be 0 to 30 days old, got 31" in refused(command, capsys, franky)
    write_front_calibration(folder, date.today(), serial="9")
    assert "serial 000000000000, got one of 9" in refused(command, capsys, franky)
    (folder / "cells" / "front.json").unlink()
    assert "front.json must be a file, got nothing there; make it by" in refused(command, capsys, franky)


@COMMANDS
def test_an_input_from_which_the_arm_could_not_be_stopped(lab, command, capsys, monkeypatch):
    _, franky = lab
    monkeypatch.setattr(sys, "stdin", os.fdopen(os.pipe()[0]))
    assert "an operator must have a terminal to stop the arm from" in refused(command, capsys, franky)


def test_a_device_that_is_not_plugged_in(lab, capsys, monkeypatch):
    _, franky = lab

    def none_there(axes):
        raise RuntimeError("a SpaceMouse must be plugged in and readable, got: none")

    monkeypatch.setattr("ocrrl.robot.teleoperation.open_device.open_spacemouse", none_there)
    assert "a SpaceMouse must be plugged in" in refused(BY_HAND, capsys, franky)


def test_a_model_that_cannot_be_read(lab, capsys):
    _, franky = lab
    for path in LAYOUT.residual(0).iterdir():
        path.unlink()
    assert str(LAYOUT.residual(0)) in refused(ROLLOUT, capsys, franky)


def test_a_residual_of_images_that_the_cell_does_not_take(lab, capsys):
    write_untrained_image_residual(LAYOUT, {"front": (84, 84)})
    assert (
        "cell fr3 must take the images that the residual was trained with, front 84 x 84, got front 64 x 64, wrist 64 x 64: declare "
        "these under `cameras` in params.yaml"
    ) in refused(ROLLOUT, capsys, lab[1])


@pytest.mark.parametrize("command", [ROLLOUT, EVALUATE], ids=lambda command: command[0])
def test_a_vla_that_answers_later_than_the_residual_has_learned(lab, command, capsys):
    vla = LAYOUT.vla("real")
    config = json.loads((vla / "config.json").read_text())
    (vla / "config.json").write_text(json.dumps(config | {"n_action_steps": 2}))
    write_latency(vla / "latency.json", policy_kind(vla), "cpu", 0.0, [0.04] * 19 + [0.09])
    said = refused(command, capsys, lab[1])
    assert f"{vla} answers 1 control steps late (95th percentile of its latency.json)" in said
    assert f"{LAYOUT.residual(0)} was trained for at most 0" in said and "`dvc repro`" in said


@pytest.mark.parametrize("command", [ROLLOUT, EVALUATE], ids=lambda command: command[0])
def test_a_policy_that_is_not_signed_where_the_cell_file_demands_it(lab, command, capsys):
    pytest.importorskip("model_signing", reason="extra `standards`")
    folder, franky = lab
    path = write_cell_file(folder)
    path.write_text(path.read_text() + "signed_by: cells/lab.pub\n")
    line = refused(command, capsys, franky)
    assert f"{LAYOUT.vla('real')} must be signed, got no data/signatures/vla_real/" in line
