"""Arm and cameras of a cell as a LeRobot robot: our action in, proprioception, joints and images out.

The arm is reached through a safety gate and watched, like everywhere else. Object poses are not part of an observation:
LeRobot hands whatever is one to the policy. An action is one control step, so that LeRobot must run at `CONTROL_HZ`.
"""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import numpy as np
from lerobot.lerobot_types import RobotAction, RobotObservation
from lerobot.robots.config import RobotConfig
from lerobot.robots.robot import Robot
from lerobot.utils.decorators import check_if_already_connected, check_if_not_connected

from ocrrl.interface import rotations
from ocrrl.interface.actions import ACTION_NAMES, CONTROL_HZ, limit
from ocrrl.interface.cells import cell_named
from ocrrl.interface.fr3_chain import FR3
from ocrrl.interface.kinematics import ArmKinematics
from ocrrl.interface.observations import GRIPPER_DOWN, PROPRIOCEPTION_NAMES
from ocrrl.layout import WORK
from ocrrl.perception.cameras.frames import FrameSource, first_frame
from ocrrl.robot.arm.arm import Arm, ArmState
from ocrrl.robot.arm.fault import Fault
from ocrrl.robot.cell.checked_cell import check_hardware
from ocrrl.robot.cell.closing import Closable, close_all
from ocrrl.robot.cell.fr3_cell import open_hardware
from ocrrl.robot.lerobot_robot.stop_key import StopKey
from ocrrl.robot.open_cell import logs_of, reserved
from ocrrl.robot.operator.approval import Approval, NotApproved, begin_episode
from ocrrl.robot.operator.operator_prompt import obtain_approval
from ocrrl.robot.safety.command_follower import CommandFollower
from ocrrl.robot.safety.fault_log import FAULTS, FaultLog
from ocrrl.robot.safety.safety_gate import SafetyGate
from ocrrl.robot.safety.safety_limits import SafetyLimits
from ocrrl.robot.safety.watchdog import Watchdog
from ocrrl.tabletop.registry import tabletop_task

JOINT_NAMES = tuple(f"joint_{k}" for k in range(1, 8))
STATE_NAMES = (*PROPRIOCEPTION_NAMES, *JOINT_NAMES)
"""[m], wxyz, [m], [rad]; the first eight are what a VLA of ours is given."""
TIME_TO_LIVE = 3.0 / CONTROL_HZ  # [s] of a command
CALIBRATION = WORK / "lerobot_calibration"
"""LeRobot makes this folder and puts nothing of ours in it; its default is in the user's home."""

_log = logging.getLogger(__name__)


@dataclass
class ImageConfig:
    """The images of one of the cell's cameras, in pixels."""

    width: int
    height: int
    fps: int = CONTROL_HZ


@RobotConfig.register_subclass("fr3")
@dataclass(kw_only=True)
class FR3RobotConfig(RobotConfig):
    """What `FR3Robot` is made from; LeRobot finds that class by this one's name."""

    cell: Path
    """The cell's file."""
    cameras: dict[str, ImageConfig] = field(default_factory=dict)
    """By the cell's own camera names; the sizes must be the cameras'."""
    tabletop_task: str = "cube_lift"
    session: str = "lerobot"
    episodes: int = 50
    """What an operator approves: motion for this tabletop task, in a session of this name, so many episodes at most."""
    longest_pause: float = 120.0
    """For which the arm holds and waits [s], while LeRobot saves an episode; after that it is stopped for good."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.longest_pause > 0:
            raise ValueError(f"longest_pause must be above 0 s, got {self.longest_pause}")
        self.calibration_dir = self.calibration_dir or CALIBRATION


@dataclass(frozen=True)
class OpenedCell:
    """A cell's arm, what it may do, and its cameras by name, each with a frame already."""

    arm: Arm
    limits: SafetyLimits
    kinematics: ArmKinematics
    enabled: Callable[[], bool]
    """Whether the operator lets the arm move now."""
    cameras: Mapping[str, FrameSource]
    stop: StopKey
    on_fault: Callable[[Fault], None]
    lock: Closable
    """Keeps every other session out of the cell until it is closed."""


OpenCell = Callable[[FR3RobotConfig], OpenedCell]
"""Opens the cell of a configuration; raises NotApproved without an operator's approval for its hardware."""


def open_cell_file(config: FR3RobotConfig) -> OpenedCell:
    """The hardware of the cell file `config.cell`, checked and then approved by an operator for so many episodes; all of them
    count as begun.

    RuntimeError without a terminal to stop the arm from, or where another session is in the cell.
    """
    cell = cell_named("fr3")
    checked = check_hardware(config.cell, date.fromtimestamp(time.time()))
    sections = checked.file.cameras.items()
    _require_cameras(config, {name: (section.width, section.height) for name, section in sections})
    task = tabletop_task(config.tabletop_task).slug
    with ExitStack() as opened:
        lock = opened.enter_context(ExitStack())
        lock.enter_context(reserved(cell))
        stop = StopKey()
        approval = obtain_approval(cell, config.session, task, config.episodes, time.time)
        on_fault = FaultLog(logs_of(cell) / FAULTS, time.time)
        hardware = open_hardware(checked, opened)
        frames = {name: camera.frames for name, camera in hardware.cameras.items()}
        for source in frames.values():
            first_frame(source)
        expires = claim(approval, config.episodes)
        stop.begin()
        opened.pop_all()  # from here on `disconnect` closes them
    limits = checked.file.limits
    return OpenedCell(hardware.arm, limits, FR3, lambda: time.time() < expires, frames, stop, on_fault, lock)


def claim(approval: Approval | None, episodes: int) -> float:
    """Until when the arm may move [s since 1970], all `episodes` counted: LeRobot does not say when one begins."""
    if approval is None:
        raise NotApproved("cell fr3 moves only with an operator's approval, got none")
    for _ in range(episodes):
        begin_episode(approval, time.time)
    return approval.expires


class FR3Robot(Robot):
    """`lerobot.robots.Robot`; nothing moves at `connect`."""

    config_class = FR3RobotConfig
    name = "fr3"

    def __init__(self, config: FR3RobotConfig, open_cell: OpenCell = open_cell_file) -> None:
        self._cell: OpenedCell | None = None
        super().__init__(config)
        self.config, self.cameras = config, dict(config.cameras)
        self._open_cell = open_cell

    @property
    def observation_features(self) -> dict[str, type | tuple[int, int, int]]:
        features: dict[str, type | tuple[int, int, int]] = dict.fromkeys(STATE_NAMES, float)
        for name, size in self.cameras.items():
            features[name] = (size.height, size.width, 3)
        return features

    @property
    def action_features(self) -> dict[str, type]:
        return dict.fromkeys(ACTION_NAMES, float)

    @property
    def is_connected(self) -> bool:
        return self._cell is not None

    @property
    def is_calibrated(self) -> bool:
        return True  # the cell's own calibration, see its file

    def calibrate(self) -> None:
        pass

    def configure(self) -> None:
        pass

    @check_if_already_connected
    def connect(self, calibrate: bool = True) -> None:
        """Open the cell; ValueError where its cameras are not those of the configuration."""
        cell = self._open_cell(self.config)
        try:
            shapes = {name: _image(name, camera).shape for name, camera in cell.cameras.items()}
            _require_cameras(self.config, {name: (shape[1], shape[0]) for name, shape in shapes.items()})
            limits = replace(cell.limits, hold_before_stop=self.config.longest_pause)
            self._gate = SafetyGate(
                cell.arm,
                limits,
                cell.kinematics,
                lambda: cell.enabled() and not cell.stop.pressed,
                on_fault=lambda fault: _told(fault, cell.on_fault),
            )
            self._follower = CommandFollower(self._gate, TIME_TO_LIVE)
            self._follower.begin(cell.arm.state().gripper_pose)
            self._issued = -np.inf
            self._observed: float | None = None
            self._watchdog = Watchdog(self._gate)
        except BaseException:
            close_all(_parts(cell))
            raise
        self._cell = cell
        _log.info("SPACE at this terminal stops the arm")

    @check_if_not_connected
    def get_observation(self) -> RobotObservation:
        """State as named floats and an image (H, W, 3) uint8 a camera; RuntimeError when arm or camera is lost."""
        assert self._cell is not None
        state = self._gate.state()
        self._observed = state.time
        images = {name: _image(name, self._cell.cameras[name]) for name in self.cameras}
        return dict(zip(STATE_NAMES, _numbers(state), strict=True)) | images

    @check_if_not_connected
    def send_action(self, action: RobotAction) -> RobotAction:
        """Move by one action; what became of it, which is no motion where the gate refused it.

        Raises RuntimeError when the arm is stopped, ValueError for an action that is not 7 finite numbers.
        """
        assert self._cell is not None
        asked = _action(action)
        if self._cell.stop.pressed:
            self._gate.stop()
            raise RuntimeError("the operator stopped the arm: restart LeRobot to move it again")
        now, state = self._gate.now(), self._gate.state()
        if now - self._issued > TIME_TO_LIVE:  # after a pause the arm goes on from where it is
            self._follower.commanded_pose = state.gripper_pose
        issued = now if self._observed is None else self._observed  # an action is as old as what it answers
        self._observed = None
        sent = self._follower.send(asked, state, issued)
        if self._gate.stopped:
            raise RuntimeError(f"the arm must be recovered by its operator before it moves again: {sent.refused}")
        if sent.command is not None:
            self._issued = now
        return dict(zip(ACTION_NAMES, map(float, self._follower.applied), strict=True))

    @check_if_not_connected
    def disconnect(self) -> None:
        """Stop the arm and let go of the cell."""
        cell, self._cell = self._cell, None
        assert cell is not None
        close_all((self._watchdog, *_parts(cell)))


def _require_cameras(config: FR3RobotConfig, sizes: Mapping[str, tuple[int, int]]) -> None:
    """ValueError unless the cameras of `config` are among those of the cell, by name and width and height [pixels]."""
    for name, asked in config.cameras.items():
        if name not in sizes:
            raise ValueError(f"camera must be one of {', '.join(sizes) or 'none'}, got {name}")
        if sizes[name] != (asked.width, asked.height):
            got = f"{sizes[name][0]} x {sizes[name][1]}"
            raise ValueError(f"camera {name} must be {asked.width} x {asked.height}, got {got}")


def _action(action: RobotAction) -> np.ndarray:
    """The action (7,) within the step limits."""
    missing = [name for name in ACTION_NAMES if name not in action]
    if missing:
        raise ValueError(f"action must have {', '.join(ACTION_NAMES)}, got none of {', '.join(missing)}")
    numbers = np.array([float(action[name]) for name in ACTION_NAMES])
    if not np.isfinite(numbers).all():
        raise ValueError(f"action must be finite, got {numbers.tolist()}")
    return limit(numbers)


def _numbers(state: ArmState) -> list[float]:
    """The numbers of `STATE_NAMES`; the quaternion's sign is the one that VLAs of ours know."""
    quaternion = rotations.nearest_sign(state.gripper_pose[3:], GRIPPER_DOWN)
    numbers = [*state.gripper_pose[:3], *quaternion, state.gripper_width, *state.joint_positions]
    return [float(number) for number in numbers]


def _image(name: str, camera: FrameSource) -> np.ndarray:
    frame = camera.latest()
    if frame is None:
        raise RuntimeError(f"camera {name} must have a frame when its cell is open, got none")
    return frame.colour


def _told(fault: Fault, on_fault: Callable[[Fault], None]) -> None:
    _log.warning(fault)
    on_fault(fault)


def _parts(cell: OpenedCell) -> tuple[Closable, ...]:
    return (cell.arm, cell.stop, *cell.cameras.values(), cell.lock)
