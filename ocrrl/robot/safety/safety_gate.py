"""The safety gate: every command passes through it; unsafe ones are clipped or refused; silence holds the arm.

A command is refused, and the arm holds from that moment, when it is old, not finite, not a rotation, far outside the
workspace, a jump, tilted too far, would bring a joint to its limit, or when the operator has not enabled motion or the
arm's state is old; a good command goes on from there. An arm that is not ready (a reflex, a user stop), or far from what it
follows, is stopped. A command
that only asks for a little too much is pulled back. `watch`, called once a control period by a `Watchdog`, holds an arm
whose commands have run out, and stops one that has held for too long. A stopped arm follows nothing until `recover`.
Every fault is kept with its cause.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np

from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.interface.kinematics import ArmKinematics
from ocrrl.robot.arm.arm import READY, Applied, Arm, ArmCommand, ArmState
from ocrrl.robot.arm.fault import Cause, Fault
from ocrrl.robot.safety.safety_limits import SafetyLimits
from ocrrl.robot.safety.unsafe_targets import joint_limit, off_target, unsafe_target, within_limits


class SafetyGate:
    """An `Arm` that stands before another; its methods may be called from several threads."""

    def __init__(
        self,
        arm: Arm,
        limits: SafetyLimits,
        kinematics: ArmKinematics,
        enabled: Callable[[], bool],
        on_fault: Callable[[Fault], None] = lambda fault: None,
    ) -> None:
        """`enabled` says whether the operator lets the arm move now; `on_fault` gets each fault as it happens."""
        self._arm, self._limits, self._kinematics = arm, limits, kinematics
        self._enabled, self._on_fault = enabled, on_fault
        self._watched: Callable[[], bool] = lambda: True
        self._lock = threading.RLock()
        self._followed: ArmCommand | None = None
        self._held_since: float | None = None
        self._stopped = self._homing = False
        self._stops = 0
        self.stopped_by = "on demand"
        """Cause and detail of the last stop."""
        self.stopped_for: Cause | None = None
        """What it was stopped for; of one that had held for too long, what it had held for. None if stopped on demand."""
        self._held_for: Cause | None = None
        self.faults: list[Fault] = []

    @property
    def stopped(self) -> bool:
        """Whether nothing is followed until `recover`."""
        return self._stopped

    @property
    def _moves(self) -> bool:
        """Whether it follows, holds for want of a command, or is on its way home: neither stopped nor at rest."""
        return not self._stopped and (self._followed is not None or self._held_since is not None or self._homing)

    def now(self) -> float:
        return self._arm.now()

    def state(self) -> ArmState:
        return self._arm.state()

    def command(self, command: ArmCommand) -> Applied:
        """Send what of `command` is safe; where nothing is, the arm holds."""
        with self._lock:
            try:
                now, state = self._arm.now(), self._arm.state()
                refusal = self._refusal(command, state, now)
                if refusal is None:
                    since = 1.0 / CONTROL_HZ if self._followed is None else now - self._followed.issued
                    within, changed = within_limits(command, self._limits, self._reference(state), state, since)
                    refusal = joint_limit(within, state, self._kinematics, self._limits.joint_inset)
                if refusal is not None:
                    return self._refuse(now, *refusal)
                self._arm.command(within)
            except RuntimeError as error:
                return self._lose(error)
            self._followed, self._held_since = within, None
            return Applied(within, changed)

    def watch(self) -> None:
        """Hold an arm that has no good command any more, stop one that has held for longer than `hold_before_stop`."""
        with self._lock:
            if self._homing and self._stopped:  # a motion may have begun as the stop came
                with suppress(RuntimeError):  # told when it was stopped
                    self._arm.stop()
            if not self._moves:
                return
            try:
                now, state = self._arm.now(), self._arm.state()
            except RuntimeError as error:
                self._lose(error)
                return
            if self._homing:
                if not self._enabled():
                    self._stop(now, "not_enabled", "the operator has withdrawn motion on the way home")
            elif self._held_since is None:
                fault = self._lapsed(state, now)
                if fault is not None:
                    self._refuse(now, *fault)
            elif now - self._held_since > self._limits.hold_before_stop:
                held, most = now - self._held_since, self._limits.hold_before_stop
                self._stop(now, "held_too_long", f"no good command for {held:.2f} s, at most {most}")

    def clock_stands_still(self) -> None:
        """Stop an arm that is to move while its clock does not: nothing is known of it any more."""
        with self._lock:
            if self._moves:
                self._stop(self._last_time(), "clock_stopped", "the arm's clock stands still")

    def watch_failed(self, error: BaseException) -> None:
        """Stop an arm that could not be looked at because of `error`."""
        failure = f"{type(error).__name__}: {error}"
        with self._lock:
            if not self._stopped:
                self._stop(self._last_time(), "watch_failed", failure)
                return
            told = failure in self.stopped_by
            self._halt(self.stopped_by if told else f"{self.stopped_by}; watch_failed: {failure}", self.stopped_for)

    def watched_while(self, watched: Callable[[], bool]) -> None:
        """From now on the arm recovers and goes home only while `watched` says that somebody calls `watch`."""
        self._watched = watched

    def hold(self) -> None:
        """Come to rest: the arm holds and waits for the next command, however long."""
        with self._lock:
            self._arm.hold()  # an arm that cannot be told is still watched
            self._followed, self._held_since = None, None

    def note(self, cause: Cause, detail: str) -> None:
        """Keep a fault that the gate itself does not see with its own."""
        with self._lock:
            self._report(self._last_time(), cause, detail)

    def stop(self) -> None:
        """End all motion; nothing is followed until `recover`."""
        with self._lock:
            self._halt("on demand", None)

    def recover(self) -> None:
        """Be ready again; raises RuntimeError when the operator has not enabled motion, or nobody watches the arm."""
        self._require_enabled("recover")
        stops = self._stops
        self._arm.recover()
        with self._lock:
            if self._stops != stops:
                raise RuntimeError(f"the arm was stopped again while it recovered ({self.stopped_by})")
            self._followed, self._held_since, self._stopped = None, None, False

    def home(self, joint_positions: Sequence[float]) -> None:
        """Go to `joint_positions` (7,) [rad].

        Raises RuntimeError when the operator has not enabled motion, nobody watches, or the arm was stopped before or is on
        the way.
        """
        self._require_enabled("home")
        with self._lock:
            if self._stopped:
                raise RuntimeError("an arm that was stopped must be recovered before it goes home")
            if (mode := self._arm.state().mode) != READY:
                raise RuntimeError(f"an arm that goes home must be {READY}, got {mode}; it must be recovered first")
            self._followed, self._held_since, self._homing = None, None, True
        try:
            self._arm.home(joint_positions)  # it takes seconds, in which another thread must be able to stop the arm
        finally:
            self._homing = False
        if self._stopped:
            raise RuntimeError(f"the arm was stopped on its way home ({self.stopped_by})")

    def close(self) -> None:
        """Stop and let go of the arm."""
        with self._lock:
            try:
                self.stop()
            finally:
                self._arm.close()

    def _require_enabled(self, what: str) -> None:
        if not self._enabled():
            raise RuntimeError(f"motion must be enabled by the operator before {what}, it is not")
        if not self._watched():
            raise RuntimeError(f"the arm must be watched before {what}, its watchdog has ended: open the cell again")

    def _refusal(self, command: ArmCommand, state: ArmState, now: float) -> tuple[Cause, str] | None:
        """Why `command` cannot be followed at all."""
        limits = self._limits
        if self._stopped:
            return "stopped", f"the arm was stopped ({self.stopped_by}) and not recovered"
        if not self._enabled():
            return "not_enabled", "the operator has not enabled motion"
        if (unfit := self._unfit(state, now)) is not None:
            return unfit
        alive = min(command.time_to_live, limits.max_time_to_live)
        if not 0.0 <= now - command.issued <= alive:
            return "stale_command", f"issued {now - command.issued:.3f} s ago, it may be 0 to {alive:.3f} s old"
        return unsafe_target(command, limits, self._reference(state))

    def _unfit(self, state: ArmState, now: float) -> tuple[Cause, str] | None:
        """Why the arm cannot follow anything now."""
        if state.mode != READY:
            return "not_ready", f"the arm's mode must be {READY}, got {state.mode}"
        if now - state.time > self._limits.max_state_age:
            return "stale_state", f"measured {now - state.time:.3f} s ago, at most {self._limits.max_state_age} s"
        return None if self._followed is None else off_target(self._followed.pose, state, self._limits)

    def _lapsed(self, state: ArmState, now: float) -> tuple[Cause, str] | None:
        """Why what is followed must not be followed any longer."""
        if not self._enabled():
            return "not_enabled", "the operator has withdrawn motion"
        if (unfit := self._unfit(state, now)) is not None:
            return unfit
        if self._followed is not None and now - self._followed.issued > self._followed.time_to_live:
            age = now - self._followed.issued
            return "no_command", f"the last one is {age:.3f} s old and was good for {self._followed.time_to_live:.3f} s"
        return None

    def _reference(self, state: ArmState) -> np.ndarray:
        """What the next target goes on from."""
        return state.gripper_pose if self._followed is None else self._followed.pose

    def _refuse(self, now: float, cause: Cause, detail: str) -> Applied:
        """Hold from now on, and say why; a stopped arm stays stopped."""
        if self._stopped:
            self._report(now, cause, detail)
        elif cause in ("not_ready", "off_target"):  # a reflex, a user stop: a person looks before anything moves again
            self._stop(now, cause, detail)
        else:
            lost = None
            if self._held_since is None:  # told again at each refusal, a compliant arm would sink
                self._followed, self._held_since, self._held_for = None, now, cause
                try:
                    self._arm.hold()
                except RuntimeError as error:
                    lost = error
            try:
                self._report(now, cause, detail)
            finally:  # also where the log cannot be written
                if lost is not None:
                    self._stop(now, "out_of_reach", f"the arm could not be made to hold: {lost}")
        return Applied(None, refused=f"{cause}: {detail}")

    def _lose(self, error: RuntimeError) -> Applied:
        """Stop an arm out of reach, at least in name: nothing is sent to it when it is back."""
        detail = f"the arm did not answer: {error}"
        if self._stopped:
            self._report(self._last_time(), "out_of_reach", detail)
        else:
            self._stop(self._last_time(), "out_of_reach", detail)
        return Applied(None, refused=f"out_of_reach: {detail}")

    def _stop(self, now: float, cause: Cause, detail: str) -> None:
        lost = None
        try:
            self._halt(f"{cause}: {detail}", self._held_for if cause == "held_too_long" else cause)
        except RuntimeError as error:
            lost = error
        finally:
            self._report(now, cause, detail)
        if lost is not None:
            self._report(now, "out_of_reach", f"the arm could not be stopped: {lost}")

    def _halt(self, stopped_by: str, stopped_for: Cause | None) -> None:
        """Stop the arm before anything that may fail is done about it."""
        self._followed, self._held_since, self._stopped = None, None, True
        self.stopped_by, self.stopped_for, self._stops = stopped_by, stopped_for, self._stops + 1
        self._arm.stop()

    def _report(self, now: float, cause: Cause, detail: str) -> None:
        fault = Fault(now, cause, detail)
        self.faults.append(fault)
        self._on_fault(fault)

    def _last_time(self) -> float:
        try:
            return self._arm.now()
        except Exception:
            return self.faults[-1].time if self.faults else 0.0
