"""Checks recorded poses against recorded joints by the kinematics of the FR3 and the Panda.

What does not agree is explained where that is possible, and the lines that the mapping lacks are said; nothing is ever
corrected in silence. Where no line explains it, the joints are not this arm's: an episode that is to be replayed needs
better ones, another is taken with a word.

Legend: T rows.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.episodes.pose_agreement import Apart, apart, on_the_left, product
from ocrrl.interface.actions import ROTATION_LEASH, TRANSLATION_LEASH
from ocrrl.interface.fr3_chain import FR3
from ocrrl.interface.rotation_forms import forms_of_width
from ocrrl.recordings.meaning.pose_explanations import (
    IN_DEGREES,
    Explanation,
    Recorded,
    agrees,
    explain,
    offset_turned_back,
)
from ocrrl.recordings.meaning.transform_words import base_line, describe_turn, is_neat, rounded, tool_line

LONGEST_LAG = 0.3  # [s] by which poses may run ahead of the joints, or behind
ROUGH_ROTATION = 0.25  # [rad] by which joints that are not the arm's own may still tell how the tool is turned
FAR, SYSTEMATIC = 0.25, 3.0  # [m] of an offset that rough joints still tell, and how many times what remains without it
STILL_JOINTS, STILL_POSE = 1e-3, 0.02  # [rad], [m]: less is no motion
JOINTS_MOVED = 0.05  # [m] of the gripper that the joints tell, while the recorded one stays where it is
JOINT_MARGIN = 0.1  # [rad] beyond the limits of the FR3 and the Panda
_PANDA_LIMITS = np.array(
    [
        [-2.8973, 2.8973],
        [-1.7628, 1.7628],
        [-2.8973, 2.8973],
        [-3.0718, -0.0698],
        [-2.8973, 2.8973],
        [-0.0175, 3.7525],
        [-2.8973, 2.8973],
    ]
)  # [rad]


def poses_of_joints(
    joints: Float[np.ndarray, "T 7"], joint_scale: float = 1.0, field: str = "joint_positions"
) -> Float[np.ndarray, "T 7"]:
    """Where an FR3's joints, in units of `joint_scale` [rad], bring its gripper; raises `EpisodeRejected` for others."""
    q = joint_scale * joints
    low = np.minimum(FR3.joint_limits[:, 0], _PANDA_LIMITS[:, 0]) - JOINT_MARGIN
    high = np.maximum(FR3.joint_limits[:, 1], _PANDA_LIMITS[:, 1]) + JOINT_MARGIN
    outside = (q < low) | (q > high) | ~np.isfinite(q)
    if outside.any():
        step, joint = map(int, np.argwhere(outside)[0])
        degrees = np.abs(q).max() > 2 * np.pi and np.isfinite(q).all()
        hint = f" (degrees? then joint_scale: {IN_DEGREES:.7g})" if degrees else ""
        raise EpisodeRejected(
            field,
            f"an FR3's for the pose to follow from them, joint {joint + 1} in [{low[joint]:.2f}, {high[joint]:.2f}] rad",
            f"{q[step, joint]:.4g} at step {step}{hint}",
        )
    return FR3.gripper_pose(q)


def hold_to_joints(recorded: Recorded, hz: float, replayed: bool) -> tuple[str, ...]:
    """Notes on how the declared poses and the joints, rows at `hz`, agree.

    Raises `EpisodeRejected` with the lines to add where a wrong line explains why they do not, and, if the episode is to
    be `replayed`, where nothing does.
    """
    if not np.isfinite(recorded.joints).all():
        return ()  # said where the numbers are checked
    poses, joints = recorded.poses(), recorded.joint_poses()
    distance = apart(poses, joints)
    if agrees(distance):
        return ()
    if np.ptp(recorded.joint_scale * recorded.joints, axis=0).max() < STILL_JOINTS and _moves(poses, STILL_POSE):
        if replayed:
            raise EpisodeRejected("joint_positions", "recorded where object_poses are", "the same ones in every row")
        return ("joint_positions: never change though gripper_pose does, as if they had not been recorded",)
    if _moves(joints, JOINTS_MOVED) and not _moves(poses, 1e-4):
        raise EpisodeRejected("gripper_pose", "moving as joint_positions do", "the same position in every row")
    if (lag := _lag(poses, joints, hz)) is not None:
        return (f"gripper_pose: {abs(lag):.2f} s {'ahead of' if lag > 0 else 'behind'} joint_positions",)
    explanation = explain(recorded) or _rough_explanation(recorded, distance)
    if explanation is not None:
        raise EpisodeRejected(
            "gripper_pose",
            "where an FR3's joint_positions bring the gripper",
            f"{_spoken(distance)} from there: {explanation.cause}; add to the mapping: {'; '.join(explanation.lines)}",
        )
    if distance.position <= TRANSLATION_LEASH and distance.rotation <= ROTATION_LEASH:
        return (f"gripper_pose: about {_spoken(distance, 1)} from where joint_positions bring an FR3's gripper",)
    if replayed:
        raise EpisodeRejected(
            "joint_positions",
            "an FR3's that bring the gripper to gripper_pose, since replay begins with them",
            f"{_spoken(distance)} from there and no constant offset (another arm? then leave object_poses out)",
        )
    return (
        f"joint_positions: not those of an FR3 in these poses (about {_spoken(distance, 1)} apart);"
        " replay could not use them",
    )


def _moves(poses: np.ndarray, least: float) -> bool:
    return bool(np.ptp(poses[:, :3], axis=0).max() > least)


def _lag(poses: np.ndarray, joints: np.ndarray, hz: float) -> float | None:
    """The shift in time [s] at which they agree best, positive where the poses run ahead; None if they do at none."""
    found: list[tuple[float, float]] = []
    for rows in range(1, int(LONGEST_LAG * hz) + 1):
        for early, late, sign in ((poses, joints, 1), (joints, poses, -1)):
            if len(poses) > 4 * rows and agrees(shifted := apart(early[:-rows], late[rows:])):
                found.append((shifted.position_most, sign * rows / hz))
    return min(found)[1] if found else None


def _rough_explanation(recorded: Recorded, distance: Apart) -> Explanation | None:
    """What even joints that are not quite the arm's tell: a tool turned far, a base far away."""
    recorded = recorded.some_rows()
    poses, joints = recorded.poses(), recorded.joint_poses()
    if distance.rotation > ROUGH_ROTATION:
        return next(_rough_turns(recorded, poses, joints, distance), None)
    offset = np.median(poses[:, :3] - joints[:, :3], axis=0)
    remaining = np.quantile(np.linalg.norm(poses[:, :3] - joints[:, :3] - offset, axis=-1), 0.9)
    if np.linalg.norm(offset) > max(FAR, SYSTEMATIC * remaining):
        base = rounded(np.array([*offset, 1.0, 0.0, 0.0, 0.0]))
        whole = product(np.array(recorded.declared.base_pose), base)
        return Explanation(
            f"the robot's base is not the poses' origin, but about {describe_turn(base)}", (base_line(whole),)
        )
    return None


def _rough_turns(recorded: Recorded, poses: np.ndarray, joints: np.ndarray, distance: Apart) -> Iterator[Explanation]:
    tool = rounded(offset_turned_back(poses, joints), snap_turn=np.radians(8.0))
    turned = [
        (form, replace(recorded.declared, rotation_form=form))
        for form in forms_of_width(recorded.rotation.shape[1])
        if form != recorded.declared.rotation_form
    ]
    for form, other in turned:
        try:
            rotation = apart(other.gripper_poses(recorded.position, recorded.rotation), joints).rotation_most
        except EpisodeRejected:
            continue
        if rotation <= ROUGH_ROTATION:
            yield Explanation(
                f"rotation is {form}, not {recorded.declared.rotation_form}", (recorded.rotation_line(form),)
            )
    base = np.concatenate([np.zeros(3), on_the_left(poses, joints)[3:]])
    by_base = apart(poses, product(base, joints))
    base = rounded(base, snap_turn=np.radians(8.0))
    if is_neat(base) and by_base.rotation_most <= ROUGH_ROTATION and by_base.position < 0.5 * distance.position:
        whole = product(np.array(recorded.declared.base_pose), base)
        yield Explanation(f"the robot's base is {describe_turn(base)} in the poses' world", (base_line(whole),))
    if is_neat(tool) and apart(poses, product(joints, tool)).rotation_most <= ROUGH_ROTATION:
        whole = product(tool, np.array(recorded.declared.tool_in_gripper))
        yield Explanation(f"the recorded tool is not our gripper frame, but {describe_turn(tool)}", (tool_line(whole),))


def _spoken(distance: Apart, digits: int = 2) -> str:
    values = (100 * distance.position, float(np.degrees(distance.rotation)))
    centimetres, degrees = (f"{float(f'{value:.{digits}g}'):g}" if value >= 0.05 else "0" for value in values)
    return f"{centimetres} cm and {degrees} degrees"
