"""The person at the terminal: nothing moves without an answer, and a key stops the arm at once."""

import os
import pty
import termios
import time

import pytest

from ocrrl.interface.protocols import Abort
from ocrrl.robot.operator.cell_operator import EndedByOperator
from ocrrl.robot.operator.operator_at_terminal import OperatorAtTerminal
from ocrrl.robot.operator.operator_prompt import ask_at_terminal
from ocrrl.robot.operator.terminal_keys import CLOSED, TerminalKeys


class Desk:
    """A terminal that a test types at, and an operator who answers `answer` to questions."""

    def __init__(self):
        self.typing, self.terminal = pty.openpty()
        self.answer, self.asked = "y", []
        self.keys = TerminalKeys(self.terminal)
        self.operator = OperatorAtTerminal(self.keys, self._ask)

    def _ask(self, question):
        self.asked.append(question)
        return self.answer

    def type(self, text):
        os.write(self.typing, text.encode())
        heard(self.keys, set(text))

    def hang_up(self):
        os.close(self.typing)
        self.typing = os.dup(self.terminal)  # for the end to close
        heard(self.keys, {CLOSED})

    def start(self):
        self.operator.clear()
        self.operator.set_up(7)


def heard(keys, expected):
    end = time.monotonic() + 5.0
    while not expected <= keys.pressed:
        assert time.monotonic() < end, f"{expected} was not heard"
        time.sleep(0.005)


@pytest.fixture
def desk():
    desk = Desk()
    yield desk
    desk.operator.close()
    for end in (desk.typing, desk.terminal):
        os.close(end)


def test_nothing_moves_before_the_operator_said_so(desk):
    assert not desk.operator.enabled()
    desk.start()
    assert desk.operator.enabled() and not desk.operator.solved() and not desk.operator.ended()
    assert "initial state 7" in desk.asked[1]


def test_what_the_table_is_set_by_comes_with_the_question_and_nothing_may_move_meanwhile(desk):
    allowed = []

    def describe(seed):
        allowed.append(desk.operator.enabled())
        return f"the cuboid of {seed}\n"

    desk.operator = OperatorAtTerminal(desk.keys, desk._ask, describe)
    desk.start()
    assert allowed == [False] and desk.operator.enabled()
    assert desk.asked[1].startswith("the cuboid of 7\nSet the table for initial state 7")


@pytest.mark.parametrize("answer", ["", "n", "q"])
def test_without_a_yes_the_session_ends(desk, answer):
    desk.answer = answer
    with pytest.raises(EndedByOperator, match="the operator ended the session"):
        desk.operator.clear()
    assert not desk.operator.enabled()


@pytest.mark.parametrize("key", [" ", "q"])
def test_a_stop_key_forbids_motion_and_ends_the_episode(desk, key):
    desk.start()
    desk.type(key)
    assert not desk.operator.enabled() and desk.operator.ended() == Abort("operator", "the operator stopped the arm")
    desk.start()
    assert desk.operator.enabled() and not desk.operator.ended()


def test_a_stop_key_counts_while_the_arm_goes_home(desk):
    desk.operator.clear()
    desk.type(" ")
    assert not desk.operator.enabled()
    with pytest.raises(EndedByOperator, match="stopped the arm on its way home"):
        desk.operator.set_up(7)


def test_success_and_failure_are_the_operators_word(desk):
    desk.start()
    desk.type("s")
    assert desk.operator.solved() and not desk.operator.ended()
    assert desk.operator.said_solved()
    desk.type(" ")
    assert desk.operator.said_solved() and not desk.operator.enabled(), "a stop takes nothing back, and stops"
    desk.start()
    assert not desk.operator.solved()
    desk.type("s")
    desk.type("f")
    assert not desk.operator.solved() and not desk.operator.said_solved()
    desk.start()
    desk.type("f")
    assert desk.operator.ended() == Abort("operator", "the operator labelled it a failure")


@pytest.mark.parametrize(("answer", "stopped"), [("n", False), ("No", False), ("y", True), ("", True)])
def test_a_lost_arm_was_stopped_by_hand_unless_the_operator_says_no(desk, answer, stopped):
    desk.start()
    desk.answer = answer
    assert desk.operator.stopped_arm("connection lost") is stopped
    assert "connection lost" in desk.asked[-1] and not desk.operator.enabled()


def test_the_terminal_is_as_it_was_when_nobody_listens(desk):
    before = termios.tcgetattr(desk.terminal)
    desk.start()
    assert termios.tcgetattr(desk.terminal) != before
    desk.operator.close()
    assert termios.tcgetattr(desk.terminal) == before


def test_a_terminal_that_was_closed_stops_the_arm_and_is_a_fault(desk):
    desk.start()
    desk.hang_up()
    assert not desk.operator.enabled()
    assert desk.operator.ended() == Abort("fault", "the terminal that the arm is stopped from was closed")
    desk.answer = ""
    with pytest.raises(RuntimeError, match="the operator ended the session"):
        desk.operator.clear()
    desk.answer = "y"
    with pytest.raises(RuntimeError, match="the terminal must stay open, to stop the arm from"):
        desk.operator.clear()
    assert not desk.operator.enabled()


def test_a_terminal_that_is_closed_while_the_arm_goes_home_ends_the_session(desk):
    desk.operator.clear()
    desk.hang_up()
    with pytest.raises(RuntimeError, match="the terminal was closed while the arm went home") as ended:
        desk.operator.set_up(7)
    assert not isinstance(ended.value, EndedByOperator)


def test_a_stop_before_the_terminal_was_closed_is_the_operator_s(desk):
    desk.start()
    desk.type(" ")
    desk.hang_up()
    assert desk.operator.ended().by == "operator"


def test_a_terminal_that_cannot_be_read_any_more_counts_as_closed():
    listened_to, other_end = pty.openpty()
    keys = TerminalKeys(listened_to)
    keys.begin()
    os.close(other_end)  # reading is an error from then on
    heard(keys, {CLOSED})
    with pytest.raises(OSError, match="Input/output error"):
        os.read(listened_to, 1)
    keys.end()
    os.close(listened_to)


def test_at_a_terminal_that_is_gone_nobody_answers(monkeypatch):
    typing, terminal = pty.openpty()
    with os.fdopen(typing, "r", closefd=False) as hung_up:
        os.close(terminal)
        monkeypatch.setattr("sys.stdin", hung_up)
        assert ask_at_terminal("Who is there? ") == ""
    os.close(typing)


def test_an_input_that_is_no_terminal_is_refused():
    reading, writing = os.pipe()
    with pytest.raises(RuntimeError, match="must have a terminal to stop the arm from"):
        TerminalKeys(reading)
    os.close(reading)
    os.close(writing)
