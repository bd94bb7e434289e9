"""Connects to an FR3 through franky; also the driver that only reads.

franky is imported here and nowhere else (`pip install 'ocrrl[robot]'`). To connect moves nothing and asks for no control,
but sets the robot's collision thresholds, whatever Desk says.
"""

import contextlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from ocrrl.config_builder import shown
from ocrrl.interface.fr3_chain import FR3
from ocrrl.robot.arm.arm import READY, ArmState

COLLISION_CEILINGS = {"collision_torque": 40.0, "collision_force": 60.0}
"""[Nm], [N]: what no cell file may go beyond, twice what franky sets by itself."""
NEXT_STEP = {
    "Reflex": "it touched something or was asked too much: look at the arm; it recovers when the next episode begins",
    "UserStopped": "release the external activation device, or unlock it in Desk",
    "Guiding": "let go of the guiding buttons",
    "Other": "look at Desk: are the brakes open and FCI activated?",
}
"""By the name of franky's RobotMode."""
NO_CONNECTION = (
    "robot {host} cannot be reached: {error}. Is it switched on, are the brakes open, is FCI activated in Desk, and is its "
    "address right in the cell file?"
)


@dataclass(frozen=True)
class ArmSection:
    """A cell file's section on the arm and its hand; docs/cell_file.md explains every key."""

    host: str
    """Address of the robot's control box."""
    enforce_realtime: bool = True
    """False without a real-time kernel; the robot then stops more often for want of commands."""
    collision_torque: float = 20.0
    """[Nm] about any joint from which on the robot itself stops for a collision (a reflex)."""
    collision_force: float = 30.0
    """[N, Nm] at the hand, likewise."""

    def __post_init__(self) -> None:
        require_one_word("host", self.host, "the robot's address")
        for name, most in COLLISION_CEILINGS.items():
            if not 0 < getattr(self, name) <= most:
                raise ValueError(f"{name} must be above 0 and at most {most:g}, got {getattr(self, name)}")


def require_one_word(name: str, text: str, meaning: str) -> None:
    """ValueError unless `text` is one printable word."""
    if not text or not text.isprintable() or text.split() != [text]:
        raise ValueError(f"{name} must be {meaning}, one word, got {shown(text)}")


@dataclass(frozen=True)
class Connection:
    """franky's module, and its robot at `host`; the library ships no types."""

    host: str
    franky: Any
    robot: Any

    @contextlib.contextmanager
    def failures(self, what: str):
        """RuntimeError that begins with `what`, for whatever of franky's fails meanwhile."""
        try:
            yield
        except (self.franky.Exception, RuntimeError) as error:
            raise RuntimeError(f"{what}: {error}") from error

    @contextlib.contextmanager
    def out_of_reach(self):
        """RuntimeError that says what to look at, for whatever of franky's fails meanwhile."""
        try:
            yield
        except (self.franky.Exception, RuntimeError) as error:
            raise RuntimeError(NO_CONNECTION.format(host=self.host, error=error)) from error

    def mode(self, state: Any) -> str:
        """READY, or why a robot with franky's `state` follows nothing."""
        mode = state.robot_mode
        if mode in (self.franky.RobotMode.Idle, self.franky.RobotMode.Move):
            return READY
        return f"{mode.name} {state.current_errors} ({NEXT_STEP.get(mode.name, 'wait until it is over')})"


def connect(arm: ArmSection) -> Connection:
    """The robot that `arm` describes. RuntimeError if it cannot be reached."""
    try:
        import franky
    except ImportError as error:
        raise RuntimeError(f"an FR3 needs franky: `pip install 'ocrrl[robot]'` ({error})") from error
    config = franky.RealtimeConfig.Enforce if arm.enforce_realtime else franky.RealtimeConfig.Ignore
    with Connection(arm.host, franky, None).out_of_reach():
        robot = franky.Robot(
            arm.host,
            default_torque_threshold=arm.collision_torque,
            default_force_threshold=arm.collision_force,
            realtime_config=config,
        )
    return Connection(arm.host, franky, robot)


class FrankyReader:
    """An `ocrrl.robot.arm.arm.ArmReader`: no command, no recovery, and the hand is never asked anything.

    Where the arm is moved by hand, or must stay whatever happens. Methods raise RuntimeError, with franky's own words.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection: Connection | None = connection
        self._latest = 0.0  # [s]

    def now(self) -> float:
        connection = self._opened()
        with connection.failures("the clock could not be read"):
            # A state that was read a moment ago by another thread may be the older one: the clock does not go back.
            self._latest = max(self._latest, connection.robot.state.time.to_sec())
            return self._latest

    def state(self) -> ArmState:
        connection = self._opened()
        with connection.failures("the state could not be read"):
            state = connection.robot.state
            return measured(state, float("nan"), connection.mode(state))

    def close(self) -> None:
        """Let go of the robot as it is; franky's connection ends with its last user."""
        self._connection = None

    def _opened(self) -> Connection:
        if self._connection is None:
            raise RuntimeError("the arm must be open to be read, it was closed")
        return self._connection


def open_franky_reader(arm: ArmSection) -> FrankyReader:
    """The robot that `arm` describes, to be read; raises as `connect` does."""
    return FrankyReader(connect(arm))


def measured(state: Any, gripper_width: float, mode: str) -> ArmState:
    """franky's `state` as ours: the gripper's pose from the measured joints, since `O_T_EE` may be the desired one."""
    joints = np.array(state.q, float)
    return ArmState(
        time=state.time.to_sec(),
        gripper_pose=FR3.gripper_pose(joints[None])[0],
        joint_positions=joints,
        gripper_width=gripper_width,
        mode=mode,
    )
