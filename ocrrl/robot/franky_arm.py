"""The FR3 through franky: a Cartesian impedance tracker that follows the latest target, on the robot's own clock.

franky is imported here and nowhere else (`pip install 'ocrrl[robot]'`). Its tracker holds the last target for ever, so it
stands behind a `SafetyGate`, whose watchdog does not. `O_T_EE` may be the desired pose; where the gripper is comes from
the measured joints and our own chain.
"""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from ocrrl.robot.arm import READY, Applied, ArmCommand, ArmState
from ocrrl.robot.fr3 import FR3
from ocrrl.robot.gripper_thread import GripperThread

TRANSLATIONAL_STIFFNESS = 1500.0  # [N/m]
ROTATIONAL_STIFFNESS = 60.0  # [Nm/rad]
HOMING_SPEED = 0.15  # of the robot's limits
HOMED_WIDTH = 0.07  # [m] that a hand which was homed knows it can open at least
NEXT_STEP = {
    "Reflex": "it touched something or was asked too much: look at the arm; it recovers when the next episode begins",
    "UserStopped": "release the external activation device, or unlock it in Desk",
    "Guiding": "let go of the guiding buttons",
    "Other": "look at Desk: are the brakes open and FCI activated?",
}
"""By the name of franky's RobotMode."""
NOT_HOMED = "the hand of {host} must be homed, its fingers know {width:.3f} m of travel: Desk, end effector, homing"
NO_CONNECTION = (
    "robot {host} cannot be reached: {error}. Is it switched on, are the brakes open, is FCI activated in Desk, and is its "
    "address right in the cell file?"
)


class FrankyArm:
    """An `ocrrl.robot.arm.Arm`; every method raises RuntimeError, with franky's own words, when the robot fails."""

    def __init__(self, host: str, enforce_realtime: bool = True) -> None:
        """Connect to the robot at `host`; without a real-time kernel `enforce_realtime` has to be False."""
        try:
            import franky
        except ImportError as error:
            raise RuntimeError(f"driving an FR3 needs franky: `pip install 'ocrrl[robot]'` ({error})") from error
        self._franky: Any = franky
        config = franky.RealtimeConfig.Enforce if enforce_realtime else franky.RealtimeConfig.Ignore
        try:
            self._robot = franky.Robot(host, realtime_config=config)
            hand = franky.Gripper(host)
            width = float(hand.max_width)
        except (franky.Exception, RuntimeError) as error:
            raise RuntimeError(NO_CONNECTION.format(host=host, error=error)) from error
        if width < HOMED_WIDTH:
            raise RuntimeError(NOT_HOMED.format(host=host, width=width))
        self._gripper = GripperThread(hand)
        self._tracker: Any = None
        self._latest = 0.0  # [s]

    def now(self) -> float:
        with self._failures("the clock could not be read"):
            # A state that was read a moment ago by another thread may be the older one: the clock does not go back.
            self._latest = max(self._latest, self._robot.state.time.to_sec())
            return self._latest

    def state(self) -> ArmState:
        with self._failures("the state could not be read"):
            state = self._robot.state
            joints = np.array(state.q, float)
            return ArmState(
                time=state.time.to_sec(),
                gripper_pose=FR3.gripper_pose(joints[None])[0],
                joint_positions=joints,
                gripper_width=self._gripper.width,
                mode=self._mode(state),
            )

    def command(self, command: ArmCommand) -> Applied:
        with self._failures("the command was not taken"):
            self._track().set_target(self._affine(command.pose))
        self._gripper.want(command.opening)
        return Applied(command)

    def hold(self) -> None:
        if self._tracker is not None:
            with self._failures("the arm could not be told to hold"):
                self._tracker.set_target(self._affine(self.state().gripper_pose))

    def stop(self) -> None:
        self._gripper.stop()
        with self._failures("the arm could not be stopped"):
            self._end_tracking()
            self._robot.stop()

    def recover(self) -> None:
        with self._failures("the arm did not recover"):
            self._end_tracking()
            if not self._robot.recover_from_errors():
                raise RuntimeError(f"its errors remain: {self._mode(self._robot.state)}; look at Desk, and at the arm")

    def home(self, joint_positions: Sequence[float]) -> None:
        with self._failures("the arm did not come home"):
            self._end_tracking()
            self._gripper.want(1.0)
            motion = self._franky.JointMotion(list(joint_positions), relative_dynamics_factor=HOMING_SPEED)
            self._robot.move(motion)

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):
            self.stop()
        self._gripper.close()

    def _mode(self, state: Any) -> str:
        """READY, or why not."""
        if self._gripper.failure:
            return self._gripper.failure
        try:
            self._robot.poll_motion()  # asynchronous errors show only here
        except (self._franky.Exception, RuntimeError) as error:
            self._tracker = None
            return f"its motion ended: {error}"
        if self._tracker is not None and not self._tracker.is_running:
            self._tracker = None
            return "its motion ended"
        mode = state.robot_mode
        if mode in (self._franky.RobotMode.Idle, self._franky.RobotMode.Move):
            return READY
        return f"{mode.name} ({NEXT_STEP[mode.name]})" if mode.name in NEXT_STEP else mode.name

    def _track(self) -> Any:
        """The tracker, begun where the arm is."""
        if self._tracker is None:
            self._tracker = self._franky.CartesianImpedanceTracker(
                self._robot,
                translational_stiffness=TRANSLATIONAL_STIFFNESS,
                rotational_stiffness=ROTATIONAL_STIFFNESS,
            )
        return self._tracker

    def _end_tracking(self) -> None:
        tracker, self._tracker = self._tracker, None
        if tracker is not None:
            tracker.stop()

    def _affine(self, pose: np.ndarray) -> Any:
        return self._franky.Affine(pose[:3], pose[[4, 5, 6, 3]])  # xyzw

    @contextlib.contextmanager
    def _failures(self, what: str):
        try:
            yield
        except (self._franky.Exception, RuntimeError) as error:
            raise RuntimeError(f"{what}: {error}") from error
