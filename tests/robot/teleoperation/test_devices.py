"""What a hand does on a device is what the arm is asked for, in the base frame and within the limits."""

import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import textwrap
import time
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from ocrrl.interface.actions import MAX_ROTATION_STEP, MAX_TRANSLATION_STEP
from ocrrl.robot.operator.terminal_keys import TerminalKeys
from ocrrl.robot.teleoperation.axes import AxisConvention
from ocrrl.robot.teleoperation.gamepad import Gamepad, open_gamepad
from ocrrl.robot.teleoperation.operator import LabelledByKeys, TerminalOperator
from ocrrl.robot.teleoperation.spacemouse import SpaceMouse, open_spacemouse
from tests.pipeline_copy import ROOT
from tests.robot.teleoperation.played_device import PlayedDevice

PLAIN = AxisConvention(dead_zone=0.0, exponent=1.0, translation_scale=1.0, rotation_scale=1.0)
FULL = np.array([MAX_TRANSLATION_STEP] * 3 + [MAX_ROTATION_STEP] * 3)
AXES = ("x", "y", "z", "roll", "pitch", "yaw")


def full(axis: int, sign: float = 1.0) -> np.ndarray:
    """The motion of one full deflection."""
    motion = np.zeros(7)
    motion[axis], motion[6] = sign * FULL[axis], 1.0
    return motion


# The convention


@pytest.mark.parametrize("axis", range(6))
def test_a_full_deflection_is_one_step_limit_along_one_axis(axis):
    deflections = np.eye(6)[axis]
    np.testing.assert_allclose(PLAIN.motion(deflections, 1.0), full(axis), atol=1e-12)
    np.testing.assert_allclose(PLAIN.motion(-deflections, 1.0), full(axis, -1.0), atol=1e-12)


def test_turning_about_two_axes_at_once_is_one_rotation_vector():
    motion = PLAIN.motion(np.array([0, 0, 0, 0.3, 0.0, 0.4]), 0.0)
    np.testing.assert_allclose(motion[3:6], MAX_ROTATION_STEP * np.array([0.3, 0.0, 0.4]), atol=1e-12)
    longest = PLAIN.motion(np.array([0, 0, 0, 1.0, 1.0, 1.0]), 0.0)
    np.testing.assert_allclose(np.linalg.norm(longest[3:6]), MAX_ROTATION_STEP)


def test_the_dead_zone_is_still_and_motion_begins_at_its_edge_without_a_jump():
    axes = AxisConvention(dead_zone=0.2, exponent=1.0, translation_scale=1.0)
    at = [axes.motion(np.array([d, 0, 0, 0, 0, 0]), 1.0)[0] / MAX_TRANSLATION_STEP for d in (0.1, 0.2, 0.21, 0.6, 1.0)]
    np.testing.assert_allclose(at, [0.0, 0.0, 0.0125, 0.5, 1.0], atol=1e-12)
    curved = AxisConvention(dead_zone=0.2, exponent=2.0, translation_scale=1.0)
    half = curved.motion(np.array([-0.6, 0, 0, 0, 0, 0]), 1.0)[0] / MAX_TRANSLATION_STEP
    np.testing.assert_allclose(half, -0.25)


def test_an_operator_who_faces_the_robot_pushes_towards_it():
    facing = AxisConvention(0.0, 1.0, 1.0, 1.0, operator_heading=np.pi)
    np.testing.assert_allclose(facing.motion(np.array([1.0, 0, 0, 0, 0, 0]), 1.0), full(0, -1.0), atol=1e-12)
    np.testing.assert_allclose(facing.motion(np.array([0, 1.0, 0, 0, 0, 0]), 1.0), full(1, -1.0), atol=1e-12)
    np.testing.assert_allclose(facing.motion(np.array([0, 0, 0, 0, 1.0, 0]), 1.0), full(4, -1.0), atol=1e-12)
    np.testing.assert_allclose(facing.motion(np.array([0, 0, 0, 0, 0, 1.0]), 1.0), full(5), atol=1e-12)


def test_a_sign_turns_an_axis_round():
    axes = AxisConvention(0.0, 1.0, 1.0, 1.0, signs=(1.0, 1.0, -1.0, 1.0, 1.0, 1.0))
    np.testing.assert_allclose(axes.motion(np.array([0, 0, 1.0, 0, 0, 0]), 1.0), full(2, -1.0), atol=1e-12)


@pytest.mark.wrong_shapes
@pytest.mark.parametrize("deflections", [[np.nan, 0, 0, 0, 0, 0], [0.0] * 5])
def test_what_is_no_deflection_is_refused(deflections):
    with pytest.raises(ValueError, match="deflections must be 6 finite numbers"):
        PLAIN.motion(np.array(deflections), 1.0)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"dead_zone": 1.0}, r"dead_zone must be in \[0, 1\), got 1.0"),
        ({"exponent": 0.5}, r"exponent must be in \[1, 4\], got 0.5"),
        ({"rotation_scale": 1.5}, r"rotation_scale must be in \(0, 1\], got 1.5"),
        ({"signs": (1.0, 2.0)}, "signs must be 6 of -1 and 1"),
        ({"operator_heading": np.inf}, "operator_heading must be an angle"),
    ],
)
def test_a_wrong_convention_is_refused(settings, error):
    with pytest.raises(ValueError, match=error):
        AxisConvention(**settings)


# The SpaceMouse


class FakeMouse:
    """As pyspacemouse's device: one report of its queue a read, the state changed in place."""

    def __init__(self):
        self.reports, self.unplugged, self.closed = [], False, False
        self.state = SimpleNamespace(t=-1.0, buttons=[0, 0], **dict.fromkeys(AXES, 0.0))

    def report(self, buttons=(0, 0), **axes):
        self.reports.append((dict.fromkeys(AXES, 0.0) | axes, list(buttons)))

    def read(self):
        if self.unplugged:
            raise Exception("Failed to read from HID device: -1")
        if self.reports:
            axes, buttons = self.reports.pop(0)
            vars(self.state).update(axes, buttons=buttons, t=self.state.t + 1.0)
        return self.state

    def close(self):
        self.closed = True


@pytest.fixture
def mouse():
    fake = FakeMouse()
    device = SpaceMouse(fake, PLAIN, {1: "success"})
    device.begin(0)
    device.read()
    return device, fake


@pytest.mark.parametrize("axis", range(6))
def test_each_axis_of_a_spacemouse_moves_its_own(mouse, axis):
    device, fake = mouse
    fake.report(**{AXES[axis]: 1.0})
    np.testing.assert_allclose(device.read().motion, full(axis), atol=1e-12)


def test_only_the_newest_report_counts_and_it_holds_until_the_next(mouse):
    device, fake = mouse
    for x in (0.2, 0.9, 0.5):
        fake.report(x=x)
    for _ in range(2):
        np.testing.assert_allclose(device.read().motion[0], 0.5 * MAX_TRANSLATION_STEP)


def test_a_button_counts_once_when_it_goes_down(mouse):
    device, fake = mouse
    openings, events = [], []
    for buttons in ((1, 0), (1, 0), (0, 0), (1, 1), (0, 1)):
        fake.report(buttons)
        reading = device.read()
        openings.append(reading.motion[6])
        events.append(set(reading.events))
    assert openings == [0.0, 0.0, 0.0, 1.0, 1.0]
    assert events == [set(), set(), set(), {"success"}, set()]


def test_an_episode_begins_with_open_fingers_and_forgets_a_button_held_from_before(mouse):
    device, fake = mouse
    fake.report((1, 1))
    assert device.read().motion[6] == 0.0
    device.begin(1)
    reading = device.read()
    assert reading.motion[6] == 1.0 and not reading.events


def test_a_hand_s_motion_from_while_nobody_read_moves_nothing_until_the_hand_does():
    fake, now = FakeMouse(), [0.0]
    device = SpaceMouse(fake, PLAIN, {1: "success"}, lambda: now[0])
    for _ in range(3):
        fake.report(x=1.0)  # and the report that it was let go was dropped
    device.begin(0)
    for _ in range(3):
        np.testing.assert_allclose(device.read().motion[:6], 0.0)
        now[0] += 0.05
    fake.report(x=1.0)
    np.testing.assert_allclose(device.read().motion[0], MAX_TRANSLATION_STEP)
    now[0] += 0.5  # an episode is saved
    np.testing.assert_allclose(device.read().motion[:6], 0.0)


def test_an_unplugged_spacemouse_says_so_and_asks_for_nothing_even_when_it_is_back(mouse):
    device, fake = mouse
    fake.report(x=1.0)
    device.read()
    fake.unplugged = True
    with pytest.raises(RuntimeError, match="SpaceMouse must stay plugged in"):
        device.read()
    fake.unplugged = False
    with pytest.raises(RuntimeError, match="SpaceMouse must stay plugged in"):
        device.read()
    device.close()
    assert fake.closed


def test_a_spacemouse_is_opened_in_the_ros_convention(monkeypatch):
    module, asked = ModuleType("pyspacemouse"), []
    module.AxisConvention = SimpleNamespace(ROS="ros")
    module.open = lambda axis_convention: asked.append(axis_convention) or FakeMouse()
    monkeypatch.setitem(sys.modules, "pyspacemouse", module)
    open_spacemouse()
    assert asked == ["ros"]

    def nothing(axis_convention):
        raise RuntimeError("No connected or supported devices found.")

    module.open = nothing
    with pytest.raises(RuntimeError, match="a SpaceMouse must be plugged in and readable, got: No connected"):
        open_spacemouse()


class FakeHid:
    """The wire under the real pyspacemouse: reports of bytes, as a SpaceNavigator sends them."""

    product_string = manufacturer_string = release_number = serial_number = ""

    def __init__(self, *reports):
        self.reports = list(reports)

    def open(self):
        pass

    def read(self, size):
        return bytearray(self.reports.pop(0)) if self.reports else bytearray()


@pytest.mark.parametrize(
    ("channel", "hid", "axis", "sign"),
    [
        (1, (0, -350, 0), 0, 1.0),  # HID: x to the right, y towards the user, z down; pushed away
        (1, (-350, 0, 0), 1, 1.0),  # to the left
        (1, (0, 0, -350), 2, 1.0),  # lifted
        (2, (0, -350, 0), 3, 1.0),  # about the axis that points away, right side down
        (2, (-350, 0, 0), 4, 1.0),  # tipped forward, about the axis to the left
        (2, (0, 0, -350), 5, 1.0),  # counterclockwise from above
    ],
)
def test_a_real_spacemouse_s_bytes_move_the_arm_the_way_the_hand_went(channel, hid, axis, sign):
    pyspacemouse = pytest.importorskip("pyspacemouse")
    spec = pyspacemouse.apply_axis_convention(
        pyspacemouse.get_device_specs()["SpaceNavigator"], pyspacemouse.AxisConvention.ROS
    )
    report = bytes([channel]) + struct.pack("<3h", *hid)
    wire = FakeHid(bytes([channel]) + bytes(6))
    device = SpaceMouse(pyspacemouse.SpaceMouseDevice(spec, wire), PLAIN)
    device.begin(0)
    device.read()
    wire.reports.append(report)
    np.testing.assert_allclose(device.read().motion, full(axis, sign), atol=1e-12)


# The gamepad


class FakePad:
    def __init__(self):
        self.axes, self.buttons, self.hat = [0.0] * 6, [False] * 8, (0.0, 0.0)

    def get_instance_id(self):
        return 7

    def get_numaxes(self):
        return len(self.axes)

    def get_axis(self, axis_number):
        return self.axes[axis_number]

    def get_button(self, button):
        return self.buttons[button]

    def get_hat(self, hat_number):
        return self.hat

    def get_numbuttons(self):
        return len(self.buttons)

    def quit(self):
        pass


@pytest.mark.parametrize(
    ("axis", "pushed"),
    [
        (0, {"axes": {1: -1.0}}),
        (1, {"axes": {0: -1.0}}),
        (2, {"buttons": {5: True}}),
        (3, {"hat": (1.0, 0.0)}),
        (4, {"axes": {4: -1.0}}),
        (5, {"axes": {3: -1.0}}),
    ],
)
def test_each_control_of_a_gamepad_moves_its_own(axis, pushed):
    pad = FakePad()
    device = Gamepad(pad, list, PLAIN)
    device.begin(0)
    device.read()
    for number, value in pushed.get("axes", {}).items():
        pad.axes[number] = value
    for number, value in pushed.get("buttons", {}).items():
        pad.buttons[number] = value
    pad.hat = pushed.get("hat", pad.hat)
    np.testing.assert_allclose(device.read().motion, full(axis), atol=1e-12)


def test_a_trigger_at_rest_moves_nothing():
    pad = FakePad()
    device = Gamepad(pad, list, PLAIN)
    for resting in (0.0, -1.0):
        pad.axes[2] = pad.axes[5] = resting
        np.testing.assert_array_equal(device.read().motion[:6], 0.0)


def test_a_gamepad_s_buttons_say_how_it_went_once():
    pad = FakePad()
    device = Gamepad(pad, list, PLAIN)
    device.begin(0)
    device.read()
    said = []
    for number in (3, 2, 1, 7):
        pad.buttons[number] = True
        said.append([set(device.read().events), set(device.read().events)])
        pad.buttons[number] = False
        device.read()
    assert said == [[{"success"}, set()], [{"failure"}, set()], [{"discard"}, set()], [{"stop"}, set()]]


def test_an_unplugged_gamepad_says_so_though_its_last_state_stays():
    pad, gone = FakePad(), []
    device = Gamepad(pad, lambda: gone, PLAIN)
    device.begin(0)
    pad.axes[1] = -1.0
    gone.append(6)
    assert device.read().motion[0] > 0, "another pad was unplugged"
    gone.append(7)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="gamepad must stay plugged in"):
            device.read()
        gone.clear()


def fake_pygame(monkeypatch, count: int) -> SimpleNamespace:
    state = SimpleNamespace(events=[], pad=FakePad())
    module = ModuleType("pygame")
    module.JOYDEVICEREMOVED = 1542
    module.display = SimpleNamespace(init=lambda: None)
    module.event = SimpleNamespace(get=lambda: [state.events.pop() for _ in range(len(state.events))])
    module.joystick = SimpleNamespace(init=lambda: None, get_count=lambda: count, Joystick=lambda index: state.pad)
    monkeypatch.setitem(sys.modules, "pygame", module)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    return state


def test_pygame_s_own_event_unplugs_a_gamepad(monkeypatch):
    state = fake_pygame(monkeypatch, 1)
    device = open_gamepad(PLAIN)
    device.begin(0)
    device.read()
    state.events.append(SimpleNamespace(type=1542, instance_id=7))
    with pytest.raises(RuntimeError, match="gamepad must stay plugged in"):
        device.read()


def test_no_gamepad_is_told(monkeypatch):
    fake_pygame(monkeypatch, 0)
    with pytest.raises(RuntimeError, match="a gamepad must be plugged in and readable"):
        open_gamepad()


def test_a_process_with_a_gamepad_can_still_be_ended():
    code = """
        import contextlib, os, signal, time
        from ocrrl.robot.teleoperation.gamepad import open_gamepad
        with contextlib.suppress(RuntimeError):  # no pad here
            open_gamepad()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGTERM, ended.stderr


# Keys and the operator


@pytest.fixture
def terminal():
    keys, line = pty.openpty()
    yield keys, line
    os.close(keys)
    os.close(line)


def mode(line: int) -> int:
    return termios.tcgetattr(line)[3] & (termios.ICANON | termios.ECHO)


def typed(keys: int, device: LabelledByKeys, text: bytes, count: int) -> set[str]:
    """What the device says after `text` was typed, once it has said `count` events."""
    os.write(keys, text)
    end, said = time.monotonic() + 5.0, set()
    while len(said) < count:
        assert time.monotonic() < end, f"{text!r} was not heard, only {said}"
        said |= device.read().events
        time.sleep(0.005)
    return said


def test_keys_say_how_an_episode_went_and_the_terminal_is_restored(terminal):
    keys, line = terminal
    before = mode(line)
    device = LabelledByKeys(PlayedDevice([np.full(7, 0.01)] * 5000), TerminalKeys(line))
    os.write(keys, b"f")  # before the episode: forgotten
    time.sleep(0.1)  # a terminal hands on what was typed in its own time
    device.begin(0)
    assert mode(line) == 0
    first = device.read()
    assert first.events == frozenset() and first.motion[0] == 0.01
    assert typed(keys, device, b"xS", 1) == {"success"}
    assert typed(keys, device, b"dq", 2) == {"discard", "stop"}
    device.end()
    assert mode(line) == before
    device.close()


def test_a_key_says_it_once(terminal):
    keys, line = terminal
    device = LabelledByKeys(PlayedDevice([], ending="failure"), TerminalKeys(line))
    device.begin(0)
    typed(keys, device, b"s", 2)
    assert device.read().events == {"failure"}
    device.close()


def test_the_terminal_is_restored_when_a_device_is_closed_mid_episode(terminal):
    _, line = terminal
    before = mode(line)
    device = LabelledByKeys(PlayedDevice([]), TerminalKeys(line))
    device.begin(0)
    device.close()
    assert mode(line) == before


def test_an_operator_who_does_not_answer_lets_nothing_move():
    answers = iter(["what?", "y", "q", "", "x", "", "F", "", "", ""])
    operator = TerminalOperator("Ada", lambda question: next(answers))
    assert [operator.confirm("?") for _ in range(3)] == [True, False, False]
    assert [operator.label("?") for _ in range(2)] == ["failure", None]
