"""LeRobot opens the hardware's cell with an operator's approval and a terminal to stop the arm from, or not at all."""

import json
import os
import sys
import time
from datetime import date, timedelta

import pytest

from ocrrl.interface.cells import cell_named
from ocrrl.robot import lerobot_robot
from ocrrl.robot.arm.arm import ArmCommand
from ocrrl.robot.cell.fr3_cell import Hardware
from ocrrl.robot.lerobot_robot import fr3_robot
from ocrrl.robot.lerobot_robot.fr3_robot import claim
from ocrrl.robot.open_cell import reserved
from ocrrl.robot.operator.approval import NotApproved, check, issue
from ocrrl.robot.operator.approval_ledger import episodes_begun
from tests.robot.cell.hardware_cell import write_cell_file, write_front_calibration
from tests.robot.cell.scripted_arm import HOME, ScriptedArm
from tests.robot.cell.watched_robot import WatchedFranky


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A cell that is in order, and a robot that is not there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OCRRL_APPROVAL", raising=False)
    franky = WatchedFranky()
    franky.lost = "no route to host"
    monkeypatch.setitem(sys.modules, "franky", franky)
    write_front_calibration(tmp_path, date.today())
    return franky


@pytest.fixture
def desk(monkeypatch):
    """A terminal, and an approval that nobody has looked at yet."""
    ours, theirs = os.openpty()
    monkeypatch.setattr("sys.stdin", os.fdopen(theirs))
    monkeypatch.setenv("OCRRL_APPROVAL", issue("fr3", "lerobot", "cube_lift", 50, "Ada", time.time))
    yield ours
    os.close(ours)


def of_cell_file(path, **cameras):
    images = {name: lerobot_robot.ImageConfig(*size) for name, size in cameras.items()}
    config = lerobot_robot.FR3RobotConfig(cell=path, cameras=images, calibration_dir=path.parent)
    return lerobot_robot.FR3Robot(config)


def test_the_cell_of_a_file_is_not_opened_without_an_operators_approval(tmp_path, lab, desk, monkeypatch):
    monkeypatch.delenv("OCRRL_APPROVAL")
    with pytest.raises(NotApproved, match="ocrrl approve --cell fr3 --session lerobot --task cube_lift"):
        of_cell_file(write_cell_file(tmp_path)).connect()
    assert lab.asked == []


def test_what_is_wrong_with_a_cell_file_is_said_before_anybody_is_asked(tmp_path, lab):
    """Without an approval, so that being asked for one would be the other error."""
    path = write_cell_file(tmp_path)
    for robot, message in (
        (of_cell_file(path, side=(640, 480)), "camera must be one of front, wrist, got side"),
        (of_cell_file(path, front=(640, 360)), "camera front must be 640 x 360, got 640 x 480"),
        (of_cell_file(tmp_path / "none.yaml"), r"none\.yaml must be a cell file, it is not there"),
    ):
        with pytest.raises(ValueError, match=message):
            robot.connect()
    write_front_calibration(tmp_path, date.today() - timedelta(days=31))
    with pytest.raises(ValueError, match="must be 0 to 30 days old, got 31"):
        of_cell_file(path).connect()


def test_with_an_approval_the_robot_is_connected_to(tmp_path, lab, desk):
    with pytest.raises(RuntimeError, match=r"robot 172\.16\.0\.2 cannot be reached: no route to host"):
        of_cell_file(write_cell_file(tmp_path)).connect()
    with reserved(cell_named("fr3")):
        pass  # what could not be opened keeps nobody out


def test_while_another_session_is_in_the_cell_nobody_is_asked_and_nothing_is_connected(tmp_path, lab, desk):
    with reserved(cell_named("fr3")), pytest.raises(RuntimeError, match="cell fr3 must run one session at a time"):
        of_cell_file(write_cell_file(tmp_path)).connect()
    assert lab.asked == [] and "OCRRL_APPROVAL" in os.environ


def test_until_it_is_disconnected_no_other_session_opens_the_cell_and_its_faults_are_logged(
    tmp_path, lab, desk, monkeypatch
):
    arm = ScriptedArm()
    monkeypatch.setattr(fr3_robot, "open_hardware", lambda checked, opened: Hardware(arm, {}))
    robot = of_cell_file(write_cell_file(tmp_path))
    robot.connect()
    with pytest.raises(RuntimeError, match="one session at a time"), reserved(cell_named("fr3")):
        pass
    arm.unreachable = True
    robot._gate.command(ArmCommand(HOME, 1.0, 0.0, 0.1))
    fault = json.loads((tmp_path / ".work/cells/fr3/faults.jsonl").read_text().splitlines()[0])
    assert (fault["cause"], fault["detail"]) == ("out_of_reach", "the arm did not answer: connection lost")
    arm.unreachable = False
    robot.disconnect()
    with reserved(cell_named("fr3")):
        assert arm.received[-1] == "close"


def test_an_approval_is_used_up_by_connecting_since_nobody_says_when_an_episode_begins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    token = issue("fr3", "lerobot", "cube_lift", 3, "Ada", time.time)
    approval = check(token, "fr3", "lerobot", "cube_lift", 3, time.time)
    assert claim(approval, 2) == approval.expires
    assert episodes_begun(tmp_path / ".work", approval.nonce) == 2
    with pytest.raises(NotApproved, match="the 3 episodes that Ada approved must suffice"):
        claim(approval, 2)


def test_without_a_terminal_to_stop_the_arm_from_nobody_is_asked_and_nothing_is_connected(tmp_path, lab, monkeypatch):
    monkeypatch.setenv("OCRRL_APPROVAL", issue("fr3", "lerobot", "cube_lift", 50, "Ada", time.time))
    monkeypatch.setattr("sys.stdin", (tmp_path / "input").open("w+"))
    with pytest.raises(RuntimeError, match="must have a terminal to stop the arm from"):
        of_cell_file(write_cell_file(tmp_path)).connect()
    assert lab.asked == [] and "OCRRL_APPROVAL" in os.environ, "it was not looked at"
