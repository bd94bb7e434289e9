"""A cell as an environment of the control loop: one arm, cameras and a tracker (Algorithm 2).

A control step lasts 1/CONTROL_HZ on the arm's own clock. What fails in an episode (a camera, the tracker, the arm) does not
raise: the arm is held, and the step says what aborted the episode, so that what was recorded is kept.
"""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ocrrl.interface.actions import CONTROL_HZ, limit
from ocrrl.interface.observations import CONFIDENCE_THRESHOLD, Images, Observation
from ocrrl.interface.protocols import Abort, RobotPosture, StepResult
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.perception.tracking.asynchronous_tracker import AsynchronousTracker, PostureHistory
from ocrrl.perception.tracking.pose_gate import PoseGate
from ocrrl.robot.arm.arm import READY, ArmState
from ocrrl.robot.arm.fault import GRIPPER_FAILED, TECHNICAL, technical
from ocrrl.robot.cell.cell_images import CellCamera, CellImages
from ocrrl.robot.cell.closing import Closable, close_all
from ocrrl.robot.cell.guarded_cell import NotFit
from ocrrl.robot.operator.cell_operator import CellOperator, EndedByOperator
from ocrrl.robot.safety.command_follower import CommandFollower
from ocrrl.robot.safety.safety_gate import SafetyGate

PERIOD = 1.0 / CONTROL_HZ  # [s]
TIME_TO_LIVE = 0.20  # [s] of a command, from the observation that it answers
POLL = 0.002  # [s] of sleep between two looks at the arm's clock
COMEBACK = 5.0  # [s] of such sleep in which a camera or the tracker may come back before an episode
PATIENCE = 2.0  # [s] of such sleep for one control step, after which the arm's clock counts as stopped


class ArmEnvironment:
    """Implements `interface.protocols.Environment` and `robot.cell.guarded_cell.RobotCell`; `num_envs` is 1."""

    num_envs = 1

    def __init__(
        self,
        cell: str,
        task: TabletopTask,
        arm: SafetyGate,
        cameras: Mapping[str, CellCamera],
        tracker: AsynchronousTracker,
        postures: PostureHistory,
        poses: PoseGate,
        operator: CellOperator,
        registration_time: float = 5.0,
        parts: Sequence[Closable] = (),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`postures` is what the tracker looks the arm up in; `sleep` passes wall time while the arm's clock runs.

        `parts` are closed with it, in that order; somebody watches `arm` meanwhile (`robot.safety.watchdog`).
        """
        self.cell, self.tabletop_task = cell, task
        self.gate, self._cameras, self._tracker, self._postures = arm, CellImages(cameras), tracker, postures
        self._poses, self._operator, self._sleep = poses, operator, sleep
        self._registration_time, self.parts = registration_time, tuple(parts)
        self._follower = CommandFollower(arm, TIME_TO_LIVE)
        self._observed = self._tick = 0.0
        self._held_steps = self._steps = 0
        self._failure, self._stale = "", False
        self._last: Observation | None = None
        self.periods: list[float] = []
        """Time [s] on the arm's clock that each control step took."""

    @property
    def commanded_pose(self) -> np.ndarray:
        """Commanded gripper pose (1, 7)."""
        return self._follower.commanded_pose[None].copy()

    @property
    def seen(self) -> Observation:
        """The latest observation, without looking again; RuntimeError before the first."""
        if self._last is None:
            raise RuntimeError("the cell must have been observed in this episode, it was not")
        return self._last

    def reset(self, ids: np.ndarray, seeds: Sequence[int]) -> None:
        """Go home, have the table set and find every object. RuntimeError where the cell is not fit for an episode.

        NotFit, a RuntimeError, where that shows before anything moves.
        """
        (seed,) = seeds
        self.require_fit()
        self._operator.clear()
        try:
            if self.gate.stopped or self.gate.state().mode != READY:
                self.gate.recover()
            self.gate.home(self.tabletop_task.home_joints)
        except RuntimeError as error:
            self._end_with_operator(error)
            raise
        self._operator.set_up(int(seed))
        self._failure, self._stale, self._held_steps, self._steps, self._last = "", False, 0, 0, None
        self._poses.reset()
        self._tracker.reset(self.gate.now())
        self._find_objects()
        self._follower.begin(self.gate.state().gripper_pose)  # the way home opens the fingers
        self.observe()

    def require_fit(self) -> None:
        """NotFit, after `COMEBACK` at most, where a camera or the tracker fails: a lasting fault ends no second episode."""
        slept = 0.0
        while failure := self._failing():
            if slept >= COMEBACK:
                raise NotFit(
                    f"{failure}; nothing has moved: correct this, then run the same command again; it continues"
                )
            self._sleep(POLL)
            slept += POLL

    def observe(self) -> Observation:
        try:
            self._observed = self.gate.now()
            state = self._remembered(self.gate.state())
            estimate = self._tracker.latest()
            if estimate is None:
                raise RuntimeError("the tracker gives no poses")
            poses, visible = self._poses.filter(estimate, self._observed, state.gripper_pose, state.gripper_width)
            if self._poses.stale and not self._stale:
                self.gate.note("stale_pose", f"the newest poses are {self._observed - estimate.captured:.2f} s old")
            self._stale = self._poses.stale
            self._last = Observation(
                gripper_pose=state.gripper_pose[None],
                commanded_pose=self.commanded_pose,
                joint_positions=state.joint_positions[None],
                gripper_width=np.array([state.gripper_width]),
                object_poses=poses[None],
                object_confidence=estimate.confidence[None].copy(),
                object_visible=visible[None],
            )
        except RuntimeError as error:
            self._fail(str(error))
            if self._last is None:
                raise
        return self._last

    def capture(self, ids: np.ndarray) -> Images:
        return self._cameras.latest(self._fail)

    def step(self, actions: np.ndarray, ids: np.ndarray) -> StepResult:
        (action,) = limit(np.asarray(actions, float))
        self._follower.rest()
        if self._steps == 0:  # questions may lie between the reset and the first step
            self._tick = self._observed
        ended = self._operator.ended()
        aborted = ended or (Abort("fault", self._failure) if self._failure else self._send(action))
        applied = self._follower.applied[None]
        if aborted is not None:
            self.come_to_rest()
            if self._operator.said_solved():  # their word stands, whatever came while it had to last
                return StepResult(np.zeros(1), np.ones(1, bool), applied_action=applied)
            blamed = ended or self._blamed(aborted)
            return StepResult(np.zeros(1), np.zeros(1, bool), blamed, applied)
        self._steps += 1
        self._held_steps = self._held_steps + 1 if self._operator.solved() else 0
        over = self._steps == self.tabletop_task.horizon
        success = self._held_steps >= self.tabletop_task.success_hold or (over and self._operator.said_solved())
        if success or over:
            self.come_to_rest()
        return StepResult(np.zeros(1), np.array([success]), applied_action=applied)

    def come_to_rest(self, error: str = "") -> None:
        """Hold the arm, and let it wait."""
        if not self.gate.stopped:
            with contextlib.suppress(RuntimeError):  # an arm out of reach: the watchdog finds that too, and stops it
                self.gate.hold()
        if error:
            with contextlib.suppress(OSError):  # a log on a full disk: the gate keeps the fault all the same
                self.gate.note("loop_failed", error)

    def now(self) -> float:
        """The arm's clock [s]."""
        return self.gate.now()

    def calibration(self) -> dict[str, dict[str, object]]:
        """Where the cameras stand, for an episode's attributes."""
        return self._cameras.calibration()

    def close(self) -> None:
        """Close every part, whatever one of them says to it."""
        close_all(self.parts)

    def _failing(self) -> str:
        """What a camera or the tracker says of itself; empty where all are well."""
        try:
            self._tracker.latest()
            self._cameras.begun()
        except RuntimeError as error:
            return str(error)
        return ""

    def _send(self, action: np.ndarray) -> Abort | None:
        """Send the command that `action` makes, and wait for the next control step; what ended the episode, if so."""
        try:
            state = self.gate.state()
            sent = self._follower.send(action, state, self._observed)
            self._wait_for_next_step()
        except RuntimeError as error:
            return Abort("fault", str(error))
        if not self.gate.stopped:
            return None
        why = sent.refused or self.gate.stopped_by  # the watchdog may have stopped it since
        by_fault = self.gate.stopped_for in TECHNICAL or technical(why)
        return Abort("fault" if by_fault else "arm", why)

    def _blamed(self, aborted: Abort) -> Abort:
        """`aborted`, unless what looks like a fault is a reflex or, where the connection was cut, the operator's emergency stop."""
        if aborted.by != "fault":
            return aborted
        lost = not self._failure  # a camera's and the tracker's faults come from looking
        try:
            mode = self.gate.state().mode
        except RuntimeError:
            mode, lost = READY, True
        if mode != READY and not technical(mode):
            return Abort("arm", f"{aborted.why}; the arm's mode is {mode}")
        lost = lost and GRIPPER_FAILED not in mode  # an arm that says so of its hand is connected
        return Abort("operator", aborted.why) if lost and self._operator.stopped_arm(aborted.why) else aborted

    def _wait_for_next_step(self) -> None:
        """Until one control period after the last step; a late step is not made up for by a shorter one."""
        begun, self._tick, slept = self._tick, self._tick + PERIOD, 0.0
        while (now := self.gate.now()) < self._tick:
            self._remembered(self.gate.state())
            pause = min(POLL, self._tick - now)
            self._sleep(pause)
            slept += pause
            if slept > PATIENCE:
                raise RuntimeError(f"the arm's clock must advance, it has stood at {now:.3f} s for {PATIENCE:g} s")
        self.periods.append(now - begun)
        self._tick = now if now > self._tick + PERIOD / 2 else self._tick

    def _find_objects(self) -> None:
        """Wait until the tracker is sure of every object."""
        begun, estimate = self.gate.now(), None
        while (now := self.gate.now()) - begun < self._registration_time:
            self._remembered(self.gate.state())
            estimate = self._tracker.latest()
            self._end_with_operator()
            if estimate is not None and (estimate.confidence >= CONFIDENCE_THRESHOLD).all() and self._cameras.begun():
                return
            self._sleep(POLL)
        names = [tracked.name for tracked in self.tabletop_task.objects]
        found = np.zeros(len(names)) if estimate is None else estimate.confidence
        missing = [
            f"{name} ({trust:.2f})" for name, trust in zip(names, found, strict=True) if trust < CONFIDENCE_THRESHOLD
        ]
        raise RuntimeError(
            f"every object must be found within {self._registration_time} s with a confidence of {CONFIDENCE_THRESHOLD}, "
            f"got {', '.join(missing) or 'no image of a camera'} after {now - begun:.1f} s: put it where the camera sees it"
        )

    def _end_with_operator(self, error: Exception | None = None) -> None:
        """EndedByOperator where they have stopped the arm before the policy moved it; `error` is what that led to."""
        ended = self._operator.ended()
        if ended is not None and ended.by == "operator":
            raise EndedByOperator(f"{ended.why} before the episode began") from error

    def _remembered(self, state: ArmState) -> ArmState:
        self._postures.add(state.time, RobotPosture(state.joint_positions, state.gripper_width))
        return state

    def _fail(self, reason: str) -> None:
        """Note why the episode cannot go on, and hold the arm at once."""
        known, self._failure = self._failure, self._failure or reason
        self.come_to_rest()
        if not known:
            self.gate.note("no_observation", reason)
