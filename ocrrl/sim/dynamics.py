"""Physical parameters of a scene that differ between cells, and their randomisation in training.

All scales multiply the scene's own values; a nominal simulator is `Dynamics()`.
"""

from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True)
class Dynamics:
    """One environment's physics."""

    friction_scale: float = 1.0
    mass_scale: float = 1.0
    gripper_force_scale: float = 1.0
    joint_friction_scale: float = 1.0
    servo_stiffness_scale: float = 1.0
    """Below one, the arm lags further behind its joint targets."""
    latency_steps: int = 0
    """Control steps between a command and its execution."""


@dataclass(frozen=True)
class DynamicsRange:
    """Uniform ranges (low, high) that each environment's dynamics are drawn from at every reset (Tobin et al. 2017)."""

    friction_scale: tuple[float, float] = (1.0, 1.0)
    mass_scale: tuple[float, float] = (1.0, 1.0)
    gripper_force_scale: tuple[float, float] = (1.0, 1.0)
    joint_friction_scale: tuple[float, float] = (1.0, 1.0)
    servo_stiffness_scale: tuple[float, float] = (1.0, 1.0)
    latency_steps: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        for field in fields(self):
            low, high = getattr(self, field.name)
            least = 0 if field.name == "latency_steps" else 1e-6
            if not least <= low <= high:
                raise ValueError(f"{field.name} must be an increasing pair from {least:g} up, got ({low}, {high})")

    @classmethod
    def fixed(cls, dynamics: Dynamics) -> "DynamicsRange":
        """The range that always gives `dynamics`."""
        return cls(**{f.name: (getattr(dynamics, f.name),) * 2 for f in fields(dynamics)})

    def draw(self, generator: np.random.Generator) -> Dynamics:
        """One environment's dynamics."""
        scales = {f.name: float(generator.uniform(*getattr(self, f.name))) for f in fields(self)[:-1]}
        low, high = self.latency_steps
        return Dynamics(**scales, latency_steps=int(generator.integers(low, high + 1)))
