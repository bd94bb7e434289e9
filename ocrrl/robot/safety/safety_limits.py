"""What a cell's arm may do; docs/safety.md says why each limit is there."""

from dataclasses import dataclass

import numpy as np

from ocrrl.interface.actions import ROTATION_LEASH, TRANSLATION_LEASH

REACH = 1.0  # [m]; the FR3's is 0.855
CEILINGS = {
    "workspace_margin": 0.10,
    "max_tilt": 1.6,
    "max_speed": 1.0,
    "max_rotation_speed": 2.5,
    "max_jump": 0.15,
    "max_rotation_jump": 0.8,
    "max_off_target": 0.15,
    "max_rotation_off_target": 1.0,
    "leash": 0.08,
    "rotation_leash": 0.5,
    "max_state_age": 0.25,
    "max_time_to_live": 0.5,
    "hold_before_stop": 10.0,
}
"""What no cell file may go beyond: a limit that a slip of the finger lifts is none."""
LEAST_JOINT_INSET = 0.03  # [rad]; inverse kinematics themselves stay 0.02 clear, and the gate would see nothing of less


@dataclass(frozen=True)
class SafetyLimits:
    """Lengths [m], angles [rad], times [s]; of the gripper frame in the robot base frame unless said otherwise."""

    workspace_low: tuple[float, float, float] = (0.25, -0.40, 0.005)
    """Corner of the box that the gripper frame stays in; its z is the floor under the fingertips."""
    workspace_high: tuple[float, float, float] = (0.75, 0.40, 0.60)
    workspace_margin: float = 0.03
    """A target so far outside is pulled back into the box; one further outside is refused."""
    max_tilt: float = 1.4
    """Of the approach axis from straight down."""
    max_speed: float = 0.85
    """[m/s]; a fifth more than actions can ask for."""
    max_rotation_speed: float = 2.4
    """[rad/s]; likewise."""
    max_jump: float = 0.10
    """A target so far from the one before is refused, not slowed down."""
    max_rotation_jump: float = 0.60
    max_off_target: float = 0.10
    """Of the measured pose from the target it follows: an arm further off is pushed, or out of control, and stopped."""
    max_rotation_off_target: float = 0.70
    leash: float = TRANSLATION_LEASH
    """Of the target from the measured pose."""
    rotation_leash: float = ROTATION_LEASH
    joint_inset: float = 0.05
    """By which every joint stays clear of its limits."""
    max_state_age: float = 0.10
    """Of the arm's measured state."""
    max_time_to_live: float = 0.20
    """Of a command."""
    hold_before_stop: float = 1.0
    """How long the arm holds for want of a good command until it is stopped."""

    def __post_init__(self) -> None:
        for name in ("workspace_low", "workspace_high"):
            value = tuple(float(x) for x in getattr(self, name))
            if len(value) != 3 or not np.isfinite(value).all():
                raise ValueError(f"{name} must be three finite numbers, got {getattr(self, name)}")
            object.__setattr__(self, name, value)
        if not (np.array(self.workspace_low) < np.array(self.workspace_high)).all():
            raise ValueError(
                f"workspace_low must be below workspace_high in x, y and z, got {self.workspace_low} and {self.workspace_high}"
            )
        for name in (
            *("workspace_margin", "max_tilt", "max_speed", "max_rotation_speed", "max_jump", "max_rotation_jump"),
            *("max_off_target", "max_rotation_off_target"),
            *("leash", "rotation_leash", "joint_inset", "max_state_age", "max_time_to_live", "hold_before_stop"),
        ):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be a number above 0, got {value}")

    def require_within_ceilings(self) -> None:
        """ValueError for what no cell may be allowed."""
        for name, most in CEILINGS.items():
            if getattr(self, name) > most:
                raise ValueError(f"limits.{name} must be at most {most}, whatever the cell, got {getattr(self, name)}")
        if self.joint_inset < LEAST_JOINT_INSET:
            raise ValueError(
                f"limits.joint_inset must be at least {LEAST_JOINT_INSET} rad, whatever the cell, got {self.joint_inset}"
            )
        if max(map(abs, (*self.workspace_low, *self.workspace_high))) > REACH:
            box = f"{self.workspace_low} to {self.workspace_high}"
            raise ValueError(f"limits.workspace_low and workspace_high must be within {REACH} m of the base, got {box}")
