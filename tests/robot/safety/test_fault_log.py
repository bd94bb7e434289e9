"""Every fault is a line of a file the moment it happens, and a session ends with a word on those of its own."""

import json

import pytest

from ocrrl.robot.arm.fault import Fault
from ocrrl.robot.safety.fault_log import FAULTS, FaultLog, faults_told

STALE = Fault(1.0, "stale_command", "issued 0.310 s ago")
LOST = Fault(2.0, "out_of_reach", "connection lost")


@pytest.fixture
def log(tmp_path):
    log = FaultLog(tmp_path / "logs" / FAULTS, lambda: 1_790_000_000.0)
    log.path = tmp_path / "logs" / FAULTS
    return log


def test_a_fault_is_a_line_of_json(log):
    log(STALE)
    (line,) = log.path.read_text().splitlines()
    assert json.loads(line) == {
        "utc": "2026-09-21T14:13:20.000+00:00",
        "time": 1.0,
        "cause": "stale_command",
        "detail": "issued 0.310 s ago",
    }


def test_a_session_s_first_fault_is_told_and_where_they_all_are(log):
    log(STALE)
    told = []
    with faults_told(log.path, told.append):
        log(LOST)
        log(STALE)
        assert told == []
    assert told == [f"2 faults, the first: out_of_reach: connection lost; see {log.path}"]


def test_faults_are_told_however_the_session_ends(log):
    told = []
    with pytest.raises(RuntimeError), faults_told(log.path, told.append):
        log(STALE)
        raise RuntimeError("the session broke")
    assert told == [f"1 fault: stale_command: issued 0.310 s ago; see {log.path}"]


def test_a_session_without_faults_says_nothing(log, tmp_path):
    log(STALE)
    for path in (log.path, tmp_path / "none" / FAULTS):
        with faults_told(path, pytest.fail):
            pass
