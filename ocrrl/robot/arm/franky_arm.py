"""Driver of the FR3 through franky: a Cartesian impedance tracker of the latest target, on the robot's clock.

Its tracker holds the last target for ever, so it stands behind a `SafetyGate`, whose watchdog does not. The robot takes a
target for its own end effector, so that one must be ours: it is compared at the start. After `stop`, or a motion that ended
unasked (a reflex, a user stop, lost commands), no motion begins until `recover`, whatever mode the robot is in by then.
"""

import contextlib
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from ocrrl.interface import rotations
from ocrrl.interface.fr3_chain import HAND_YAW, TCP
from ocrrl.robot.arm.arm import READY, Applied, ArmCommand, ArmState
from ocrrl.robot.arm.franky_reader import ArmSection, FrankyReader, connect, measured
from ocrrl.robot.arm.gripper_thread import GripperThread

TRANSLATIONAL_STIFFNESS = 2000.0  # [N/m]; franky damps 1 kg critically: the arm follows 45 ms behind
ROTATIONAL_STIFFNESS = 120.0  # [Nm/rad]
ROTATIONAL_DAMPING = 8.5  # [Nms/rad], critical for 0.15 kg m2: 70 ms behind, where franky's own for 1 kg m2 is 180 ms
HOMING_SPEED = 0.15  # of the robot's limits
STOP_WITHIN = 0.05  # [s] on the way home
HOMED_WIDTH = 0.07  # [m] that a hand which was homed knows it can open at least
NOT_HOMED = "the hand of {host} must be homed, its fingers know {width:.3f} m of travel: Desk, end effector, homing"
END_EFFECTOR_TOLERANCE = 0.002  # [m]
END_EFFECTOR_ROTATION_TOLERANCE = 0.01  # [rad]


class FrankyArm:
    """An `ocrrl.robot.arm.arm.Arm`; every method raises RuntimeError, with franky's own words, when the robot fails."""

    def __init__(self, arm: ArmSection) -> None:
        """Connect to the robot that `arm` describes, which does not move it.

        Raises RuntimeError if it cannot be reached, or its end effector is not the Franka Hand, homed.
        """
        self._connection = connect(arm)
        # However far ahead a target is, the arm presses no harder than its own collision threshold.
        self._error_clip = np.full(3, arm.collision_force / TRANSLATIONAL_STIFFNESS)
        self._franky, self._robot = self._connection.franky, self._connection.robot
        with self._connection.out_of_reach():
            end_effector = self._robot.state.F_T_EE
        x, y, z, w = end_effector.quaternion
        check_end_effector(arm.host, np.array([*end_effector.translation, w, x, y, z]))
        self._gripper = GripperThread(self._homed_hand)
        self._tracker: Any = None
        self._ended = ""  # why the last motion ended unasked
        self._stops = self._recovered_stops = 0
        self._stopping = threading.Lock()  # the fingers are asked for nothing after a stop
        self._reader = FrankyReader(self._connection)

    def now(self) -> float:
        return self._reader.now()

    def state(self) -> ArmState:
        with self._connection.failures("the state could not be read"):
            state = self._robot.state
            return measured(state, self._gripper.width, self._mode(state))

    def command(self, command: ArmCommand) -> Applied:
        with self._connection.failures("the command was not taken"):
            self._track().set_target(self._affine(command.pose))
        self._gripper.want(command.opening)
        return Applied(command)

    def hold(self) -> None:
        tracker = self._tracker  # another thread that asks for the state may take it away
        if tracker is not None:
            with self._connection.failures("the arm could not be made to hold"):
                tracker.set_target(self._affine(self.state().gripper_pose))

    def stop(self) -> None:
        with self._stopping:
            self._stops += 1
        try:
            with self._connection.failures("the arm could not be stopped"):
                self._end_tracking()
                self._robot.stop()
        finally:
            self._gripper.stop()

    def recover(self) -> None:
        stops = self._stops  # one that comes meanwhile stands
        with self._connection.failures("the arm did not recover"):
            self._end_tracking()
            if not self._robot.recover_from_errors():
                raise RuntimeError(f"its errors remain: {self._mode(self._robot.state)}; look at Desk, and at the arm")
            self._gripper.recover()
            self._ended, self._recovered_stops = "", stops

    def home(self, joint_positions: Sequence[float]) -> None:
        with self._connection.failures("the arm did not come home"):
            self._end_tracking()  # it waits until the arm rests, and meanwhile a stop may come
            with self._stopping:
                self._require_going_on()
                self._gripper.want(1.0)
            motion = self._franky.JointMotion(list(joint_positions), relative_dynamics_factor=HOMING_SPEED)
            try:
                self._move(motion)
            except (self._franky.Exception, RuntimeError) as error:
                self._note_end(error)
            self._require_going_on()  # whoever asked for the state meanwhile may have been told of the error in our place

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):
            self.stop()
        self._gripper.close()

    @property
    def _stopped(self) -> bool:
        return self._stops != self._recovered_stops

    def _move(self, motion: Any) -> None:
        """Move, and wait for its end; the robot passes over a stop that comes before a motion has begun, so it is told again."""
        try:
            self._robot.move(motion, asynchronous=True)
            while not self._robot.join_motion(STOP_WITHIN):
                if self._stopped:
                    with contextlib.suppress(self._franky.Exception, RuntimeError):  # told by whoever stopped it first
                        self._robot.stop()
        except KeyboardInterrupt:
            self._robot.stop()
            raise

    def _homed_hand(self) -> Any:
        host = self._connection.host
        with self._connection.out_of_reach():
            hand = self._franky.Gripper(host)
            width = float(hand.max_width)
        if width < HOMED_WIDTH:
            raise RuntimeError(NOT_HOMED.format(host=host, width=width))
        return hand

    def _mode(self, state: Any) -> str:
        """READY, or why not: the arm's own reason before its hand's."""
        tracker = self._tracker
        try:
            self._robot.poll_motion()  # asynchronous errors show only here
            if tracker is not None and tracker is self._tracker and not tracker.is_running:
                self._note_end("not by us")
        except (self._franky.Exception, RuntimeError) as error:
            self._note_end(error)
        if self._ended:
            return self._ended
        mode = self._connection.mode(state)
        return self._gripper.failure or READY if mode == READY else mode

    def _note_end(self, reason: object) -> None:
        """Keep the first reason: it is the cause."""
        self._tracker = None
        self._ended = self._ended or " ".join(f"its motion ended: {reason}".split())  # franky's words have line breaks

    def _track(self) -> Any:
        """The tracker, begun where the arm is."""
        self._require_going_on()
        tracker = self._tracker  # as in `hold`
        if tracker is None:
            gains = self._franky.CartesianImpedanceGains.isotropic(
                TRANSLATIONAL_STIFFNESS, ROTATIONAL_STIFFNESS, rotational_damping=ROTATIONAL_DAMPING
            )
            tracker = self._tracker = self._franky.CartesianImpedanceTracker(
                self._robot, gains=gains, translational_error_clip=self._error_clip
            )
        return tracker

    def _require_going_on(self) -> None:
        if self._ended or self._stopped:
            raise RuntimeError(f"{self._ended or 'it was stopped'}; it must be recovered first")

    def _end_tracking(self) -> None:
        """Bring a motion to its end; one that had ended by itself is noted, and no reason to go no further."""
        tracker, self._tracker = self._tracker, None
        try:
            if tracker is not None:
                tracker.stop()
        except (self._franky.Exception, RuntimeError) as error:
            self._note_end(error)

    def _affine(self, pose: np.ndarray) -> Any:
        return self._franky.Affine(pose[:3], pose[[4, 5, 6, 3]])  # xyzw


def check_end_effector(host: str, pose: np.ndarray) -> None:
    """Raises RuntimeError unless the end effector's `pose` (7,) on the flange of the robot at `host` is our gripper frame's.

    Targets would be off by the difference, and the first one a leap.
    """
    hand = rotations.from_rotation_vector(np.array([0.0, 0.0, HAND_YAW]))
    away = float(np.linalg.norm(pose[:3] - np.array([0.0, 0.0, TCP])))
    turned = float(rotations.angle_between(pose[3:], hand))
    if away > END_EFFECTOR_TOLERANCE or turned > END_EFFECTOR_ROTATION_TOLERANCE:
        raise RuntimeError(
            f"robot {host} must have the Franka Hand as its end effector, {1000 * TCP:.1f} mm from the flange and turned by "
            f"{np.rad2deg(HAND_YAW):.0f} deg, got one that is {1000 * away:.1f} mm and {np.rad2deg(turned):.1f} deg off: choose "
            "Franka Hand in Desk's settings"
        )
