"""Converts six deflections of a device to a motion: dead zone, curve, scale, operator's heading.

Deflections (6,) are in [-1, 1]: forward, left and up as the operator sees the table, then turns about those three axes by
the right-hand rule. A device's module says which of its axes is which.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ocrrl.interface import rotations
from ocrrl.interface.actions import ACTION_DIM, MAX_ROTATION_STEP, MAX_TRANSLATION_STEP, limit

DEFLECTIONS = 6


@dataclass(frozen=True)
class AxisConvention:
    """From deflections to an action; the defaults are slow enough for a first try."""

    dead_zone: float = 0.1
    """A deflection up to this is none; beyond it motion begins at zero, without a jump."""
    exponent: float = 1.5
    """Of the deflection beyond the dead zone: 1 is proportional, above it small motions are finer."""
    translation_scale: float = 0.6
    """Share of the step limit (2 cm) at full deflection."""
    rotation_scale: float = 0.6
    """Share of the step limit (0.10 rad) at full deflection."""
    operator_heading: float = 0.0
    """Where the operator's forward points in the robot base frame [rad about z]: 0 for one behind the robot, who looks along
    its x; pi for one who faces it."""
    signs: tuple[float, ...] = (1.0,) * DEFLECTIONS
    """-1 turns a deflection round."""

    def __post_init__(self) -> None:
        if not 0 <= self.dead_zone < 1:
            raise ValueError(f"dead_zone must be in [0, 1), got {self.dead_zone}")
        if not 1 <= self.exponent <= 4:
            raise ValueError(f"exponent must be in [1, 4], got {self.exponent}")
        for name in ("translation_scale", "rotation_scale"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in (0, 1], got {getattr(self, name)}")
        if not np.isfinite(self.operator_heading):
            raise ValueError(f"operator_heading must be an angle in rad, got {self.operator_heading}")
        if len(self.signs) != DEFLECTIONS or any(sign not in (-1.0, 1.0) for sign in self.signs):
            raise ValueError(f"signs must be {DEFLECTIONS} of -1 and 1, got {self.signs}")

    def motion(self, deflections: Float[np.ndarray, " 6"], opening: float) -> Float[np.ndarray, " 7"]:
        """The action for `deflections`, the fingers at `opening`; ValueError for a deflection that is not finite."""
        raw = np.asarray(deflections, float)
        if raw.shape != (DEFLECTIONS,) or not np.isfinite(raw).all():
            raise ValueError(f"deflections must be {DEFLECTIONS} finite numbers, got {raw.tolist()}")
        raw = np.clip(raw, -1.0, 1.0) * self.signs
        beyond = np.maximum(0.0, np.abs(raw) - self.dead_zone) / (1.0 - self.dead_zone)
        shaped = np.sign(raw) * beyond**self.exponent
        # A full turn of the hand in two directions at once is one rotation vector, not a turn after another.
        to_base = rotations.from_rotation_vector(np.array([0.0, 0.0, self.operator_heading]))
        action = np.empty(ACTION_DIM)
        action[:3] = rotations.rotate(to_base, shaped[:3]) * self.translation_scale * MAX_TRANSLATION_STEP
        action[3:6] = rotations.rotate(to_base, shaped[3:]) * self.rotation_scale * MAX_ROTATION_STEP
        action[6] = opening
        return limit(action)
