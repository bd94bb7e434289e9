"""The real driver against an arm that raises reflexes: franka-sim, in an environment of its own (docs/safety.md)."""

import os
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from ocrrl.interface.fr3_chain import FR3
from ocrrl.robot.arm.arm import READY, ArmCommand
from ocrrl.robot.arm.franky_reader import ArmSection
from ocrrl.robot.safety.safety_gate import SafetyGate
from ocrrl.robot.safety.safety_limits import SafetyLimits
from ocrrl.robot.safety.watchdog import Watchdog

pytest.importorskip("franky")
PYTHON = os.environ.get("OCRRL_FRANKA_SIM_PYTHON", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not PYTHON,
        reason="OCRRL_FRANKA_SIM_PYTHON must be the Python of an environment with franka-sim: docs/safety.md",
    ),
]
ADDRESS = "127.77.0.1"  # loopback; the ports are Franka's own, and franky-sim takes them at 127.0.0.1 and on
SCRIPT = Path(__file__).with_name("reflexing_server.py")
PATIENCE = 60.0  # [s] of wall time, on a busy machine
CAUSE = "joint_velocity_violation"


class Robot:
    """The server's process; what it says is written to `log`."""

    def __init__(self, folder):
        self._folder, self.log = folder, folder / "server.log"

    def start(self):
        import franky_sim

        assets = Path(franky_sim.__file__).parent / "assets"
        model = self._folder / "fr3.xml"
        text = (assets / "fr3.xml").read_text()
        model.write_text(text.replace('meshdir="assets"', f'meshdir="{assets / "meshes"}"'))
        self._process = subprocess.Popen(
            [PYTHON, str(SCRIPT), ADDRESS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log.open("w"),
            text=True,
            env={**os.environ, "FR3_MJCF": str(model), "PYTHONPATH": ""},
            start_new_session=True,
        )
        assert self._process.stdout.readline() == "ready\n", self.log.read_text()[-2000:]

    def push(self):
        """Until it raises a reflex."""
        self._process.stdin.write("push\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "pushed\n"

    def kill(self):
        self._process.kill()
        self._process.wait()

    @property
    def motions(self):
        """How often it was asked to move."""
        return self.log.read_text(errors="replace").count("Received Move command")


@pytest.fixture
def robot(tmp_path):
    robot = Robot(tmp_path)
    robot.start()
    yield robot
    robot.kill()


@pytest.fixture
def arm(robot):
    from ocrrl.robot.arm.franky_arm import FrankyArm

    arm = FrankyArm(ArmSection(ADDRESS, enforce_realtime=False))
    yield arm
    arm.close()


@pytest.fixture
def gate(arm):
    return SafetyGate(arm, SafetyLimits(), FR3, lambda: True)


def wait_for(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited {PATIENCE} s for {what}"
        time.sleep(0.01)


def send(gate, pose):
    """One command, and a control period of the robot's clock; why it was refused, but for having come late."""
    now = gate.now()
    refused = gate.command(ArmCommand(pose, 1.0, now, 0.2)).refused
    while gate.now() < now + 0.05:
        time.sleep(0.002)
    return "" if refused.startswith(("stale_command", "stale_state")) else refused


def follow(gate, pose):
    """Commands until the arm is within 1 cm of `pose`."""

    def arrived():
        assert send(gate, pose) == ""
        return np.linalg.norm(gate.state().gripper_pose[:3] - pose[:3]) < 0.01

    wait_for(arrived, "the arm to arrive")


def beside(pose, y):
    return np.concatenate([[pose[0], pose[1] + y], pose[2:]])


def test_a_reflex_in_mid_stream_is_told_and_nothing_follows_until_it_is_recovered(robot, arm, gate):
    with Watchdog(gate):
        start = gate.state().gripper_pose
        follow(gate, beside(start, 0.03))
        pushing = threading.Thread(target=robot.push)
        pushing.start()
        refusals = []
        wait_for(lambda: refusals.append(send(gate, start)) or refusals[-1], "the reflex")
        pushing.join()
        assert "not_ready: " in refusals[-1] and CAUSE in refusals[-1]  # the watchdog may have been first to see it
        assert gate.faults[0].cause == "not_ready" and CAUSE in gate.faults[0].detail
        motions, lies = robot.motions, gate.state()
        assert lies.mode != READY and CAUSE in lies.mode
        wait_for(lambda: send(gate, beside(start, -0.03)).startswith("stopped"), "the watchdog to stop the arm")
        assert gate.stopped and CAUSE in gate.state().mode
        assert robot.motions == motions, "a robot in reflex was asked to move"

        gate.recover()
        assert gate.state().mode == READY
        follow(gate, beside(gate.state().gripper_pose, -0.03))
        assert not gate.stopped and robot.motions > motions


def test_a_reflex_that_nobody_looked_at_is_recovered_too(robot, gate):
    start = gate.state().gripper_pose
    assert send(gate, start) == ""
    robot.push()
    gate.stop()
    gate.recover()
    assert gate.state().mode == READY
    follow(gate, start)


def test_a_reflex_on_the_way_home_is_told_and_the_arm_comes_home_after_it(robot, gate):
    begun = gate.state()
    away = begun.joint_positions + np.array([0.5, 0, 0, 0, 0, 0, 0])
    pushing = threading.Timer(0.7, robot.push)
    pushing.start()
    with pytest.raises(RuntimeError, match=rf"the arm did not come home: .*{CAUSE}"):
        gate.home(away)
    pushing.join()
    assert CAUSE in gate.state().mode
    motions = robot.motions
    with pytest.raises(RuntimeError, match="it must be recovered first"):
        gate.home(away)
    assert robot.motions == motions
    gate.recover()
    gate.home(begun.joint_positions)
    wait_for(lambda: np.abs(gate.state().joint_positions - begun.joint_positions).max() < 0.01, "the arm to come home")


def test_a_robot_that_was_in_reflex_before_we_came_names_it(robot, arm, gate):
    assert send(gate, gate.state().gripper_pose) == ""
    robot.push()
    wait_for(lambda: gate.state().mode != READY, "the reflex")
    arm._ended = ""  # as one that has just been opened and knows of nothing
    mode = arm.state().mode
    assert mode.startswith("Reflex") and CAUSE in mode
    assert send(gate, gate.state().gripper_pose).startswith("not_ready: ")


def test_a_robot_that_went_away_is_stopped_and_never_sent_to_when_it_is_back(robot, gate):
    with pytest.raises(RuntimeError, match="the arm could not be stopped"), Watchdog(gate):
        start = gate.state().gripper_pose
        assert send(gate, start) == ""
        robot.kill()
        wait_for(lambda: gate.stopped, "the watchdog to stop the arm")
        assert gate.faults[0].cause in ("out_of_reach", "not_ready")
        assert any(fault.cause == "out_of_reach" for fault in gate.faults)
        robot.start()
        assert gate.command(ArmCommand(start, 1.0, gate.faults[-1].time, 0.2)).command is None
        with pytest.raises(RuntimeError, match="the arm did not recover"):
            gate.recover()
        assert gate.stopped and robot.motions == 0
