"""A stop key at the terminal at which LeRobot listens too: it is always heard, and LeRobot misses none of its own."""

import os
import pty
import termios
import time

import pytest
from lerobot.utils import keyboard_input
from lerobot.utils.keyboard_input import init_keyboard_listener

from ocrrl.robot.lerobot_robot.stop_key import StopKey

RIGHT = b"\x1b[C"


class Desk:
    """A terminal that a test types at, and that is the process's input."""

    def __init__(self, monkeypatch):
        self.typing, self.terminal = pty.openpty()
        self.input = os.fdopen(os.dup(self.terminal))
        monkeypatch.setattr("sys.stdin", self.input)
        monkeypatch.setattr(keyboard_input, "keyboard", None)  # no X11 here, whatever the machine has
        self.stop = StopKey()

    def type(self, typed):
        os.write(self.typing, typed)

    def attributes(self):
        return termios.tcgetattr(self.input.fileno())


@pytest.fixture
def desk(monkeypatch):
    desk = Desk(monkeypatch)
    yield desk
    desk.stop.close()
    desk.input.close()
    for descriptor in (desk.typing, desk.terminal):
        os.close(descriptor)


def wait_for(happened):
    end = time.monotonic() + 5.0
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_space_stops_the_arm_and_lerobot_s_keys_are_lerobot_s(desk):
    desk.stop.begin()
    listener, events = init_keyboard_listener()
    for _ in range(20):  # of two who read one terminal each would miss some
        desk.type(RIGHT)
        wait_for(lambda: events["exit_early"])
        events["exit_early"] = False
    desk.type(b"q")
    wait_for(lambda: events["stop_recording"])
    assert not desk.stop.pressed
    desk.type(b" ")
    wait_for(lambda: desk.stop.pressed)
    listener.stop()


def test_it_is_heard_though_lerobot_reads_nothing(desk):
    desk.stop.begin()
    for _ in range(40):
        desk.type(b"x" * 500)
        time.sleep(0.005)
    desk.type(b" ")
    wait_for(lambda: desk.stop.pressed)


def test_the_terminal_is_as_it_was_when_both_have_ended(desk):
    before = desk.attributes()
    desk.stop.begin()
    listener, _ = init_keyboard_listener()
    assert desk.attributes() != before
    desk.stop.close()  # LeRobot lets go of the robot before it stops listening
    listener.stop()
    assert desk.attributes() == before
    desk.stop.close()


def test_what_was_typed_before_it_listens_is_no_stop(desk):
    desk.type(b" ")
    time.sleep(0.1)
    desk.stop.begin()
    time.sleep(0.1)
    assert not desk.stop.pressed


def test_an_input_that_is_no_terminal_is_refused(tmp_path, monkeypatch):
    with (tmp_path / "input").open("w+") as file:
        monkeypatch.setattr("sys.stdin", file)
        with pytest.raises(RuntimeError, match="must have a terminal to stop the arm from"):
            StopKey()
