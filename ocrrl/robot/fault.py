"""Why an arm was held or stopped."""

from dataclasses import dataclass
from typing import Literal

Cause = Literal[
    "not_enabled",
    "stopped",
    "not_ready",
    "stale_state",
    "stale_command",
    "not_finite",
    "not_a_rotation",
    "workspace",
    "jump",
    "tilt",
    "joint_limit",
    "no_command",
    "held_too_long",
    "out_of_reach",
    "clock_stopped",
]

TECHNICAL: frozenset[Cause] = frozenset({"stale_state", "out_of_reach", "clock_stopped"})
"""Causes that are the connection's or the clock's, whatever the arm was commanded."""
LOST_MESSAGES = "communication_constraints_violation"
"""The robot's word, in its mode, for a reflex because messages were lost: the connection's too, and no collision."""


@dataclass(frozen=True)
class Fault:
    """Why an arm was held or stopped, and when on its clock [s]."""

    time: float
    cause: Cause
    detail: str
