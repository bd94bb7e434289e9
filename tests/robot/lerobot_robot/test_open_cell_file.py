"""LeRobot opens the hardware's cell with an operator's approval and a terminal to stop the arm from, or not at all."""

import time

import pytest

from ocrrl.robot import lerobot_robot
from ocrrl.robot.approval import NotApproved, check, issue
from ocrrl.robot.approval_ledger import episodes_begun
from ocrrl.robot.lerobot_robot.fr3_robot import claim
from tests.pipeline_copy import ROOT


def test_the_cell_file_is_not_opened_without_an_operators_approval(tmp_path, monkeypatch):
    monkeypatch.delenv("OCRRL_APPROVAL", raising=False)
    config = lerobot_robot.FR3RobotConfig(cell=tmp_path / "cell.yaml", calibration_dir=tmp_path)
    with pytest.raises(NotApproved, match="ocrrl approve --cell fr3 --session lerobot --task cube_lift"):
        lerobot_robot.FR3Robot(config).connect()


def test_with_an_approval_a_cell_file_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    token = issue("fr3", "lerobot", "cube_lift", 50, "Ada", time.time)
    monkeypatch.setenv("OCRRL_APPROVAL", token)
    config = lerobot_robot.FR3RobotConfig(cell=tmp_path / "cell.yaml", calibration_dir=tmp_path)
    with pytest.raises(ValueError, match=r"cell\.yaml must be a cell file, it is not there"):
        lerobot_robot.FR3Robot(config).connect()


def test_an_approval_is_used_up_by_connecting_since_nobody_says_when_an_episode_begins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    token = issue("fr3", "lerobot", "cube_lift", 3, "Ada", time.time)
    approval = check(token, "fr3", "lerobot", "cube_lift", 3, time.time)
    assert claim(approval, 2) == approval.expires
    assert episodes_begun(tmp_path / ".work", approval.nonce) == 2
    with pytest.raises(NotApproved, match="the 3 episodes that Ada approved must suffice"):
        claim(approval, 2)


def test_without_a_terminal_to_stop_the_arm_from_nothing_is_connected(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OCRRL_APPROVAL", issue("fr3", "lerobot", "cube_lift", 50, "Ada", time.time))
    monkeypatch.setattr("ocrrl.robot.lerobot_robot.fr3_robot.open_hardware", lambda *_: pytest.fail("connected"))
    monkeypatch.setattr("sys.stdin", (tmp_path / "input").open("w+"))
    config = lerobot_robot.FR3RobotConfig(cell=ROOT / "cells" / "fr3.yaml", calibration_dir=tmp_path)
    with pytest.raises(RuntimeError, match="must have a terminal to stop the arm from"):
        lerobot_robot.FR3Robot(config).connect()
