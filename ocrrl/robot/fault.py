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
    "watch_failed",
]

TECHNICAL: frozenset[Cause] = frozenset({"stale_state", "out_of_reach", "clock_stopped", "watch_failed"})
"""Causes that are the connection's, the clock's or the watch's, whatever the arm was commanded."""
GRIPPER_FAILED = "the gripper failed"
"""Begins the mode of an arm whose hand no longer follows."""
LOST_MESSAGES = "communication_constraints_violation"
"""The robot's word, in its mode, for a reflex because messages were lost."""


def technical(mode: str) -> bool:
    """Whether an arm's `mode` is its connection's or its hand's doing: it says nothing of what the arm was commanded."""
    return GRIPPER_FAILED in mode or LOST_MESSAGES in mode


@dataclass(frozen=True)
class Fault:
    """Why an arm was held or stopped, and when on its clock [s]."""

    time: float
    cause: Cause
    detail: str
