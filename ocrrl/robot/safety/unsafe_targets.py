"""What of a target is unsafe: targets that are refused, or clipped along the straight line from the arm's pose; and detection of an
arm that does not follow."""

from dataclasses import replace

import numpy as np

from ocrrl.interface import rotations
from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.interface.kinematics import ArmKinematics
from ocrrl.robot.arm.arm import ArmCommand, ArmState
from ocrrl.robot.arm.fault import Cause
from ocrrl.robot.safety.safety_limits import SafetyLimits

LONGEST_STEP = 2.0 / CONTROL_HZ  # [s] that a command may make up for at most, after a pause
QUATERNION_TOLERANCE = 1e-3  # of a unit quaternion's length


def unsafe_target(command: ArmCommand, limits: SafetyLimits, reference: np.ndarray) -> tuple[Cause, str] | None:
    """Why the target of `command` cannot be followed after `reference` (7,); None where it can."""
    numbers = np.concatenate([command.pose, [command.opening]])
    if numbers.shape != (8,) or not np.isfinite(numbers).all():
        return "not_finite", f"pose and opening must be 8 finite numbers, got {numbers.tolist()}"
    length = float(np.linalg.norm(command.pose[3:]))
    if abs(length - 1.0) > QUATERNION_TOLERANCE:
        return "not_a_rotation", f"the quaternion's length must be 1, got {length:.4f}"
    outside = command.pose[:3] - np.clip(command.pose[:3], limits.workspace_low, limits.workspace_high)
    if np.linalg.norm(outside) > limits.workspace_margin:
        return "workspace", f"{command.pose[:3].round(3).tolist()} m is {np.linalg.norm(outside):.3f} m outside"
    jump = float(np.linalg.norm(command.pose[:3] - reference[:3]))
    turn = float(np.linalg.norm(rotations.turn_between(reference[3:], command.pose[3:])))
    if jump > limits.max_jump or turn > limits.max_rotation_jump:
        return (
            "jump",
            f"{jump:.3f} m and {turn:.2f} rad from the last target, at most {limits.max_jump} and {limits.max_rotation_jump}",
        )
    approach = rotations.rotate(command.pose[3:], np.array([0.0, 0.0, 1.0]))
    tilt = float(np.arccos(np.clip(-approach[2], -1.0, 1.0)))
    if tilt > limits.max_tilt:
        return "tilt", f"{tilt:.2f} rad from straight down, at most {limits.max_tilt}"
    return None


def off_target(followed: np.ndarray, state: ArmState, limits: SafetyLimits) -> tuple[Cause, str] | None:
    """Whether the arm is further from the target `followed` (7,) than one that follows it can be."""
    away = float(np.linalg.norm(followed[:3] - state.gripper_pose[:3]))
    turned = float(rotations.angle_between(followed[3:], state.gripper_pose[3:]))
    if away > limits.max_off_target or turned > limits.max_rotation_off_target:
        most = f"{limits.max_off_target} and {limits.max_rotation_off_target}"
        return "off_target", f"the arm is {away:.3f} m and {turned:.2f} rad from its target, at most {most}"
    return None


def joint_limit(
    command: ArmCommand, state: ArmState, kinematics: ArmKinematics, inset: float
) -> tuple[Cause, str] | None:
    """Whether a joint would come nearer than `inset` [rad] to a limit, and not be on its way back from there."""
    q = state.joint_positions
    ahead = kinematics.step_towards(q[None], command.pose[None])[0]
    low, high = kinematics.joint_limits.T
    beyond = ((ahead < low + inset) & (ahead < q)) | ((ahead > high - inset) & (ahead > q))
    if beyond.any():
        joint = int(np.flatnonzero(beyond)[0])
        bounds = f"{low[joint] + inset:.2f} to {high[joint] - inset:.2f}"
        return "joint_limit", f"joint {joint + 1} would come to {ahead[joint]:.2f} rad, it may be {bounds}"
    return None


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
