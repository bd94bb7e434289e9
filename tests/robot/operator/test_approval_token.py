"""A token is handed over in a file that its owner alone can read, and stands in no process's environment."""

import os
import stat
import time

import pytest

from ocrrl.cli import main
from ocrrl.robot.operator.approval import NotApproved, check, read_token, take_token, write_token


def test_a_token_is_taken_from_the_file_that_the_environment_names_and_no_child_is_told(tmp_path):
    write_token(tmp_path / "token", "abc.def")
    environment = {"OCRRL_APPROVAL_FILE": str(tmp_path / "token"), "HOME": "x"}
    assert take_token(environment) == "abc.def" and environment == {"HOME": "x"}
    environment = {"OCRRL_APPROVAL": "abc.def"}
    assert take_token(environment) == "abc.def" and environment == {}
    assert take_token({}) is None


def test_the_file_is_new_and_its_owner_s_alone(tmp_path):
    before = os.umask(0)
    try:
        write_token(tmp_path / "folder" / "token", "abc")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "folder" / "token").stat().st_mode) == 0o600
    with pytest.raises(ValueError, match="must not be there before the token is written"):
        write_token(tmp_path / "folder" / "token", "abc")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="must not be there"):
        write_token(tmp_path / "link", "abc")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602, 0o666])
def test_a_file_that_others_can_read_or_write_is_refused(tmp_path, mode):
    write_token(tmp_path / "token", "abc")
    (tmp_path / "token").chmod(mode)
    with pytest.raises(NotApproved, match="not yours alone; `chmod 600`"):
        read_token(tmp_path / "token")


def test_what_is_no_file_is_refused_at_once(tmp_path):
    write_token(tmp_path / "token", "abc")
    (tmp_path / "link").symlink_to(tmp_path / "token")
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("nothing", "link", "pipe", "."):
        with pytest.raises(NotApproved, match="OCRRL_APPROVAL_FILE must name a file"):
            read_token(tmp_path / name)


def test_ocrrl_approve_writes_the_token_to_a_file_and_says_how_to_name_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["approve", "--cell", "fr3", "--session", "monday", "--task", "cube_lift", "--episodes", "2"]
    command += ["--operator", "Ada", "--cell-clear", "--out", "monday.token"]
    assert main(command) == 0
    said = capsys.readouterr()
    token = (tmp_path / "monday.token").read_text().strip()
    assert "export OCRRL_APPROVAL_FILE=monday.token" in said.out and token not in said.out + said.err
    environment = {"OCRRL_APPROVAL_FILE": "monday.token"}
    assert check(take_token(environment), "fr3", "monday", "cube_lift", 2, time.time).operator == "Ada"
    assert main(command) == 1
    assert "--out must be a new file" in capsys.readouterr().err
    assert len(list((tmp_path / ".work/approvals").glob("[0-9a-f]*.json"))) == 1, "nothing more was approved"
