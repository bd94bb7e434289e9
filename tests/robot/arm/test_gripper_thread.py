"""The hand follows the latest wish, whatever its calls do meanwhile, and never one from before a stop."""

import threading
import time
from types import SimpleNamespace

import pytest

from ocrrl.interface.observations import MAX_GRIPPER_WIDTH
from ocrrl.robot.arm.gripper_thread import GripperThread
from tests.robot.arm.slow_hand import SlowHand

PATIENCE = 20.0  # [s] of wall time, on a busy machine


def wait_for(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited {PATIENCE} s for {what}"
        time.sleep(0.005)


def test_of_many_wishes_only_the_latest_counts_and_none_waits():
    hand = SlowHand()
    thread = GripperThread(lambda: hand)
    begun = time.monotonic()
    for opening in (0.0, 1.0, 0.0, 1.0, 0.0, 0.8):
        thread.want(opening)
    assert time.monotonic() - begun < 0.05
    wait_for(lambda: thread.width == 0.03, "the fingers")
    time.sleep(0.3)
    assert hand.asked[-1] == "close" and len(hand.asked) <= 3
    thread.close()


def test_a_hand_that_fails_is_told():
    hand = SlowHand()
    hand.broken = True
    thread = GripperThread(lambda: hand)
    thread.want(0.0)
    wait_for(lambda: thread.failure, "the failure")
    assert thread.failure == "the gripper failed: no more air"
    thread.close()


def test_a_hand_that_failed_is_connected_to_anew_and_stays_until_it_is_asked():
    broken, well, connected = SlowHand(), SlowHand(), []
    broken.broken = True
    thread = GripperThread(lambda: connected.append(well if connected else broken) or connected[-1])
    thread.recover()
    assert connected == [broken], "one that did not fail is left alone"
    thread.want(0.0)
    wait_for(lambda: thread.failure, "the failure")
    well.width = 0.05
    thread.recover()
    assert thread.failure == "" and thread.width == 0.05 and connected == [broken, well]
    time.sleep(0.2)
    assert well.asked == [], "what the fingers were asked for before is forgotten"
    thread.want(1.0)
    wait_for(lambda: thread.width == MAX_GRIPPER_WIDTH, "the fingers")
    assert well.asked == ["open"] and thread.failure == ""
    thread.close()


def test_a_hand_that_does_not_come_back_is_told_with_the_new_reason_and_may_be_tried_again():
    hand, reasons = SlowHand(), ["", "no route to host", ""]
    hand.broken = True

    def connect():
        if reason := reasons.pop(0):
            raise RuntimeError(reason)
        return hand

    thread = GripperThread(connect)
    thread.want(0.0)
    wait_for(lambda: thread.failure, "the failure")
    with pytest.raises(RuntimeError, match="no route to host"):
        thread.recover()
    assert thread.failure == "the gripper failed to recover: no route to host"
    thread.stop()
    hand.broken = False
    thread.recover()
    thread.want(0.0)
    wait_for(lambda: hand.asked == ["close"], "the fingers")
    assert thread.failure == ""
    thread.close()


class StoppedHand(SlowHand):
    """Its grasp goes on until `let_go`, and then ends as it does on a stop: `well`, or with an error."""

    def __init__(self, well):
        super().__init__()
        self.well, self.closing, self.let_go = well, threading.Event(), threading.Event()

    def grasp(self, width, speed, force, epsilon_inner, epsilon_outer):
        self.asked.append("close")
        self.closing.set()
        assert self.let_go.wait(PATIENCE)
        if not self.well:
            raise RuntimeError("command aborted")
        return True

    def stop(self):
        self.asked.append("stop")
        self.let_go.set()
        return True


def opened_then_closing(hand):
    thread = GripperThread(lambda: hand)
    thread.want(1.0)
    wait_for(lambda: hand.asked == ["open"], "the fingers to open")
    time.sleep(0.2)
    thread.want(0.0)
    assert hand.closing.wait(PATIENCE)
    return thread


@pytest.mark.parametrize("well", [True, False])
def test_after_a_stop_while_they_close_the_fingers_stay_until_they_are_asked_and_then_open(well):
    hand = StoppedHand(well)
    thread = opened_then_closing(hand)
    thread.stop()
    time.sleep(0.3)
    assert hand.asked == ["open", "close", "stop"] and thread.failure == ""
    thread.want(0.8)
    time.sleep(0.1)
    assert hand.asked == ["open", "close", "stop"]
    thread.want(1.0)
    wait_for(lambda: hand.asked[3:] == ["open"], "the fingers to open after the stop")
    assert thread.failure == ""
    thread.close()


def test_a_stop_that_comes_before_its_call_and_a_call_that_never_ends_keep_no_later_wish_waiting():
    """franky-sim answers no grasp that was stopped."""
    hand = StoppedHand(True)
    hand.let_go = SimpleNamespace(wait=lambda patience: threading.Event().wait(), set=lambda: None)
    thread = GripperThread(lambda: hand)
    thread.want(0.0)
    assert hand.closing.wait(PATIENCE)
    begun = time.monotonic()
    thread.stop()
    assert time.monotonic() - begun < 1.0
    assert hand.asked == ["close", "stop", "stop"]
    thread.want(1.0)
    wait_for(lambda: hand.asked[3:] == ["open"], "the fingers to open")
    thread.close()


def test_a_wish_that_is_taken_back_while_the_fingers_follow_it_is_followed_back():
    hand = StoppedHand(True)
    thread = opened_then_closing(hand)
    thread.want(1.0)
    hand.let_go.set()
    wait_for(lambda: hand.asked == ["open", "close", "open"], "the fingers to open again")
    thread.close()


class MovingHand(SlowHand):
    """Its grasp goes on for ever; the fingers are where the test says, or cannot be read."""

    def __init__(self):
        self.closing, self.readable, self.measured = threading.Event(), threading.Event(), 0.08
        self.error = None
        self.readable.set()
        super().__init__()

    @property
    def width(self):
        self.readable.wait(PATIENCE)
        if self.error:
            raise self.error
        return self.measured

    @width.setter
    def width(self, width):
        self.measured = width

    def grasp(self, width, speed, force, epsilon_inner, epsilon_outer):
        self.closing.set()
        threading.Event().wait()


def test_the_width_is_read_while_the_fingers_move():
    hand = MovingHand()
    thread = GripperThread(lambda: hand)
    thread.want(0.0)
    assert hand.closing.wait(PATIENCE)
    ages = []
    for width in (0.07, 0.05, 0.03, 0.01):
        hand.measured = width
        moved = time.monotonic()
        wait_for(lambda width=width: thread.width == width, "the width")
        ages.append(time.monotonic() - moved)
    assert sorted(ages)[1] < 0.1, ages  # half of them, on a busy machine
    thread.close()


def test_asking_for_the_width_does_not_wait_for_the_hand():
    hand = MovingHand()
    thread = GripperThread(lambda: hand)
    hand.readable.clear()
    time.sleep(0.1)
    hand.measured = 0.01
    begun = time.monotonic()
    assert thread.width == 0.08 and time.monotonic() - begun < 0.05
    hand.readable.set()
    wait_for(lambda: thread.width == 0.01, "the width")
    thread.close()


def test_a_hand_that_can_no_longer_be_read_while_its_fingers_move_is_told_and_connected_to_anew():
    hand, well = MovingHand(), SlowHand()
    hands = [hand, well]
    thread = GripperThread(lambda: hands.pop(0))
    thread.want(0.0)
    assert hand.closing.wait(PATIENCE)
    hand.error = OSError("UDP receive: Timeout")
    wait_for(lambda: thread.failure, "the failure")
    assert thread.failure == "the gripper failed: UDP receive: Timeout"
    thread.stop()
    assert thread.failure and not well.asked
    well.width = 0.06
    thread.recover()
    assert thread.failure == "" and thread.width == 0.06
    hand.error, hand.measured = None, 0.02  # the old connection
    time.sleep(0.1)
    assert thread.width == 0.06 and well.asked == []
    thread.want(0.0)
    wait_for(lambda: thread.width == 0.03, "the fingers")
    thread.close()


def test_closing_and_failing_end_both_threads():
    def alive():
        return {thread for thread in threading.enumerate() if thread.name.startswith("gripper")}

    before, hand = alive(), SlowHand()
    thread = GripperThread(lambda: hand)
    assert len(alive() - before) == 2
    thread.close()
    assert not alive() - before
    hand.broken = True
    thread = GripperThread(lambda: hand)
    thread.want(0.0)
    wait_for(lambda: thread.failure and not alive() - before, "both threads to end")
    thread.close()
