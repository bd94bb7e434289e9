"""Why an arm was held or stopped, or is shown less than it should be."""

from dataclasses import dataclass
from typing import Literal

Cause = Literal[
    "not_enabled",
    "stopped",
    "not_ready",
    "off_target",
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
    "no_observation",
    "stale_pose",
    "loop_failed",
]
"""The last three are met by the environment: a camera, the tracker or the arm's state failed; the newest poses are old; the
control loop ended in an error, such as a policy's action that is not finite."""

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
    """What happened, and when on the arm's clock [s]."""

    time: float
    cause: Cause
    detail: str
