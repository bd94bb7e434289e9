"""Somebody looks at the arm whatever happens, or it does not move."""

import time

import pytest

from ocrrl.interface.tabletop_tasks import HOME_JOINTS
from ocrrl.robot.safety.watchdog import Watchdog
from tests.robot.safety.gate_rig import Rig


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


def wait_for(condition, what):
    end = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < end, f"waited 10 s for {what}"
        time.sleep(0.001)


def test_a_fault_that_cannot_be_written_stops_the_arm_and_the_watch_goes_on(rig):
    def full_disk(fault):
        raise OSError(28, "No space left on device")

    tell, rig.gate._on_fault = rig.gate._on_fault, full_disk
    with Watchdog(rig.gate, period=0.001):
        rig.arm.pass_time(0.2)  # nobody commands
        wait_for(lambda: rig.last == "stop", "the stop")
        assert rig.arm.received[-2:] == ["hold", "stop"] and rig.gate.stopped
        assert [fault.cause for fault in rig.gate.faults] == ["no_command", "watch_failed"]
        assert "No space left" in rig.gate.faults[-1].detail and rig.gate.stopped_for == "watch_failed"
        rig.gate._on_fault = tell
        rig.gate.recover()
        assert rig.send().refused == ""
        rig.arm.pass_time(0.2)
        wait_for(lambda: rig.told, "the watch to go on")
        assert rig.told[0].cause == "no_command"


def test_a_stop_whose_fault_cannot_be_written_says_so(rig):
    def full_disk(fault):
        raise OSError(28, "No space left on device")

    rig.gate._on_fault = full_disk
    rig.arm.unreachable = True
    with Watchdog(rig.gate, period=0.001):
        wait_for(lambda: "No space left" in rig.gate.stopped_by, "the failure to be noted")
        rig.arm.unreachable = False
        rig.gate._on_fault = rig.told.append
        refused = rig.send().refused
        assert refused.startswith("stopped: the arm was stopped (out_of_reach: ") and "No space left" in refused


@pytest.mark.parametrize("what", ["state", "now"])
def test_whatever_a_look_meets_stops_the_arm_and_the_watch_goes_on(rig, what):
    def broken():
        raise AttributeError("'NoneType' object has no attribute 'set_target'")

    well = getattr(rig.arm, what)
    setattr(rig.arm, what, broken)
    with Watchdog(rig.gate, period=0.001) as watchdog:
        wait_for(lambda: rig.gate.stopped, "the stop")
        assert "stop" in rig.arm.received and "AttributeError" in rig.told[0].detail
        setattr(rig.arm, what, well)
        assert watchdog._thread.is_alive()
        rig.gate.recover()
        assert rig.send().refused == ""


def test_an_arm_that_nobody_watches_any_more_neither_recovers_nor_goes_home(rig):
    with Watchdog(rig.gate):
        rig.gate.stop()
        rig.gate.recover()
        rig.gate.home(HOME_JOINTS)
    with pytest.raises(RuntimeError, match="the arm must be watched before recover, its watchdog has ended"):
        rig.gate.recover()
    with pytest.raises(RuntimeError, match="the arm must be watched before home"):
        rig.gate.home(HOME_JOINTS)
    assert rig.arm.received[-1] == "stop" and rig.gate.stopped


def test_a_stop_that_comes_while_the_arm_recovers_stands(rig):
    rig.gate.stop()
    rig.arm.recover = rig.gate.stop
    with pytest.raises(RuntimeError, match=r"stopped again while it recovered \(on demand\)"):
        rig.gate.recover()
    assert rig.gate.stopped
