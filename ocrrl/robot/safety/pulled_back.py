"""A command brought back to within the limits, on the straight way from where the arm is."""

from dataclasses import replace

import numpy as np

from ocrrl.interface import rotations
from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.robot.arm.arm import ArmCommand, ArmState
from ocrrl.robot.safety.safety_limits import SafetyLimits

LONGEST_STEP = 2.0 / CONTROL_HZ  # [s] that a command may make up for at most, after a pause


def within_limits(
    command: ArmCommand, limits: SafetyLimits, reference: np.ndarray, state: ArmState, since: float
) -> tuple[ArmCommand, tuple[str, ...]]:
    """`command` pulled back into the box, then to the speed limits, then onto the leash; and the names of those that did.

    `reference` (7,) is the target before, `since` [s] ago.
    """
    changed = []
    position = np.clip(command.pose[:3], limits.workspace_low, limits.workspace_high)
    if (position != command.pose[:3]).any():
        changed.append("workspace")
    pose = np.concatenate([position, rotations.normalise(command.pose[3:])])
    time = min(max(since, 0.0), LONGEST_STEP)
    steps = (limits.max_speed * time, limits.max_rotation_speed * time)
    for name, origin, bounds in (
        ("speed", reference, steps),
        ("leash", state.gripper_pose, (limits.leash, limits.rotation_leash)),
    ):
        pulled = pulled_towards(origin, pose, *bounds)
        if not np.allclose(pulled, pose, rtol=0.0, atol=1e-9):
            changed.append(name)
        pose = pulled
    opening = float(np.clip(command.opening, 0.0, 1.0))
    alive = min(command.time_to_live, limits.max_time_to_live)
    return replace(command, pose=pose, opening=opening, time_to_live=alive), tuple(changed)


def pulled_towards(origin: np.ndarray, pose: np.ndarray, distance: float, angle: float) -> np.ndarray:
    """`pose` (7,), brought to within `distance` [m] and `angle` [rad] of `origin` (7,) on the straight way between them."""
    offset, turn = pose[:3] - origin[:3], rotations.turn_between(origin[3:], pose[3:])
    offset = offset * min(1.0, distance / max(float(np.linalg.norm(offset)), 1e-12))
    turn = turn * min(1.0, angle / max(float(np.linalg.norm(turn)), 1e-12))
    turned = rotations.multiply(rotations.from_rotation_vector(turn), origin[3:])
    return np.concatenate([origin[:3] + offset, rotations.normalise(turned)])
