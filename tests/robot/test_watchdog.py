"""Somebody looks at the arm whatever happens, or it does not move."""

import time

import pytest

from ocrrl.robot.watchdog import Watchdog
from tests.robot.gate_rig import Rig


@pytest.fixture
def rig():
    rig = Rig()
    assert rig.send().refused == ""
    return rig


def test_an_arm_whose_clock_stands_still_is_stopped_and_one_at_rest_is_not(rig):
    with Watchdog(rig.gate, period=0.001):
        end = time.monotonic() + 10.0
        while not rig.gate.stopped:
            assert time.monotonic() < end, "a clock that stands still was not seen"
            time.sleep(0.01)
    assert rig.told[-1].cause == "clock_stopped" and rig.last == "stop"
    resting = Rig()
    with Watchdog(resting.gate, period=0.001):
        time.sleep(1.0)
        assert not resting.gate.stopped
