"""Settings of the critic gate (`restraint.critic_gate`) and of how its margin is calibrated (`restraint.learn_then_test`)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GateConfig:
    """A residual acts where a lower bound of what it gains, by an ensemble of critics, is above a margin."""

    critics: int = 5
    """In the ensemble; they learn beside TD3's own two, which stay as they are."""
    pessimism: float = 1.0
    """The lower bound is the ensemble's mean less so many of its standard deviations."""
    scalings: int = 1
    """How many parts of the residual are considered (1/k, ..., 1), of which the one with the highest bound acts; 1: all of it."""
    margins: tuple[float, ...] = (2.0, 0.5, 0.0, -0.5, -1.0, -2.0)
    """Candidates in units of the critics, from the most cautious on; after the last, that it always acts is tried too.

    A margin below 0 vetoes what all but surely spoils something. After 16,000 transitions of Cube Lift the bounds of the last 4,000
    decisions were above these margins in 15, 37, 57, 77, 87 and 96% of the cases.
    """
    harm: float = 0.05
    """Largest share of the states that the base solves which base + residual may lose."""
    net: bool = True
    """Less the share that a placebo loses (`restraint.placebo`): contacts that amplify any difference are no harm of a residual."""
    confidence: float = 0.9
    """With which it is at most that."""
    episodes: int = 300
    """Validation states that the margin is calibrated on, none of which chose the checkpoint."""

    def __post_init__(self) -> None:
        for name, least, most in (
            ("critics", 2, 100),
            ("pessimism", 0.0, 100.0),
            ("scalings", 1, 100),
            ("episodes", 1, 100_000),
        ):
            _require(name, value := getattr(self, name), least <= value <= most, f"from {least:g} to {most:g}")
        for name in ("harm", "confidence"):
            _require(name, value := getattr(self, name), 0.0 < value < 1.0, "in (0, 1)")
        falling = all(a > b for a, b in zip(self.margins, self.margins[1:], strict=False))
        _require("margins", list(self.margins), falling and len(self.margins) > 0, "falling numbers, at least one")


def _require(name: str, value: object, holds: bool, requirement: str) -> None:
    if not holds:
        raise ValueError(f"{name} must be {requirement}, got {value}")
