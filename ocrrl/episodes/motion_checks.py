"""Checks whether an FR3 could have moved as an episode says, and whether its commands follow from the actions.

The numbers of a recording are witnesses of each other: joints of the gripper pose, actions of the commanded pose, each
row of the one before. What breaks these laws is a wrong frame, order or file, however sound each number is by itself.

Legend: T control steps, O tracked objects; poses are position [m] and wxyz quaternion, robot base frame.
"""

import numpy as np

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.episodes.pose_agreement import Apart, apart, between, on_the_left, on_the_right, product
from ocrrl.interface import rotations
from ocrrl.interface.actions import ROTATION_LEASH, TRANSLATION_LEASH, advance_command
from ocrrl.interface.episode import Episode
from ocrrl.interface.fr3_chain import FR3, JOINT_SPEEDS

POSITION_TOLERANCE, ROTATION_TOLERANCE = 0.01, np.radians(2.0)  # [m], [rad] of the median row's pose from its joints'
LAG, ROTATION_LAG = 0.003, 0.01  # [m], [rad] of a measured pose behind its command, which no moving arm is without
COMMAND_TOLERANCE, COMMAND_ROTATION_TOLERANCE = 0.002, 0.02  # [m], [rad] of a command from what the action makes it
SPEED_MARGIN = 8.0
"""So many times the arm's limit, and `JOINT_NOISE`, may two rows show: a simulated arm knows no limit."""
ROW_POSITION, ROW_ROTATION = 0.03, 0.15  # [m], [rad] of any row's pose from its joints'
JOINT_NOISE = 0.02  # [rad]
GRIPPER_SPEED = 1.8  # [m/s]: from open to closed in one control step, as simple simulators do it
OBJECT_SPEED, OBJECT_NOISE = 2.0, 0.05  # [m/s], [m]: thrown or dropped; of the estimate


def check_motion(episode: Episode) -> None:
    """Raise `EpisodeRejected` for the first law that a recording of our own format breaks.

    The gripper pose must follow from the joints (`EpisodeRejected` says which frame or order would explain it), each
    commanded pose from the one before and the action, and nothing may move faster than it can.
    """
    check_speeds(episode)
    _check_pose_of_joints(episode)
    _check_commands(episode)


def _check_pose_of_joints(episode: Episode) -> None:
    joints, poses = FR3.gripper_pose(episode.joint_positions), episode.gripper_pose
    distance = apart(poses, joints)
    if not _follows(distance):
        raise _elsewhere(distance.position, distance.rotation, _cause(poses, joints))
    is_commanded = np.allclose(poses, episode.commanded_pose, rtol=0.0, atol=1e-6)
    if is_commanded and (distance.position_most > LAG or distance.rotation_most > ROTATION_LAG):
        raise _elsewhere(distance.position_most, distance.rotation_most, " (commanded_pose in its place?)")
    off, turned = between(poses, joints)
    far = (off > ROW_POSITION) | (turned > ROW_ROTATION)
    if far.any():
        step = int(far.argmax())
        raise _elsewhere(float(off[step]), float(turned[step]), f" at step {step}")


def _elsewhere(distance: float, angle: float, where: str) -> EpisodeRejected:
    return EpisodeRejected(
        "gripper_pose",
        "where an FR3's joint_positions bring the gripper",
        f"{100 * distance:.1f} cm and {np.degrees(angle):.1f} degrees from there{where}",
    )


def _follows(distance: Apart) -> bool:
    return distance.position <= POSITION_TOLERANCE and distance.rotation <= ROTATION_TOLERANCE


def _cause(poses: np.ndarray, joints: np.ndarray) -> str:
    """What would explain it, in brackets."""
    for name, turned in (
        ("a quaternion in the order xyzw", np.roll(poses[:, 3:], 1, axis=-1)),
        ("the inverse rotation", rotations.conjugate(poses[:, 3:])),
    ):
        if _follows(apart(np.concatenate([poses[:, :3], turned], axis=-1), joints)):
            return f" ({name}?)"
    if _follows(apart(poses, product(joints, on_the_right(poses, joints)))):
        return " (a constant offset: another tool frame than that between the fingertips?)"
    if _follows(apart(poses, product(on_the_left(poses, joints), joints))):
        return " (a constant offset: another frame than the robot's base?)"
    return " (another arm's joints?)"


def _check_commands(episode: Episode) -> None:
    """`Episode`'s law of actions: a row's action takes its commanded pose to the next row's, but where it is no motion."""
    commanded, measured, action = episode.commanded_pose, episode.gripper_pose, episode.action
    lag, turn = between(commanded, measured)
    loose = (lag > 3 * TRANSLATION_LEASH) | (turn > 3 * ROTATION_LEASH)
    if loose.any():
        step = int(loose.argmax())
        raise EpisodeRejected(
            "commanded_pose",
            f"near gripper_pose, within {3 * TRANSLATION_LEASH:g} m and {3 * ROTATION_LEASH:.3g} rad",
            f"{lag[step]:.3g} m and {turn[step]:.3g} rad from it at step {step}",
        )
    if len(action) < 2:
        return
    leashed = advance_command(commanded[:-1], measured[:-1], action[:-1])
    # The arm may have moved since the row was taken.
    whole = advance_command(commanded[:-1], commanded[:-1], action[:-1])
    off, turned = between(leashed, commanded[1:])
    off_whole, turned_whole = between(whole, commanded[1:])
    broken = (off > COMMAND_TOLERANCE) | (turned > COMMAND_ROTATION_TOLERANCE)
    broken &= (off_whole > COMMAND_TOLERANCE) | (turned_whole > COMMAND_ROTATION_TOLERANCE)
    broken &= action[:-1, :6].any(axis=-1)
    if broken.any():
        step = int(broken.argmax())
        raise EpisodeRejected(
            "commanded_pose",
            "where action takes it from the row before",
            f"{off[step]:.3g} m and {turned[step]:.3g} rad from there after step {step}",
        )


def check_speeds(episode: Episode) -> None:
    """Raise `EpisodeRejected` where joints, fingers or a confidently seen object move faster than they can."""
    seconds = np.maximum(np.diff(episode.timestamps), 1e-3)
    if not len(seconds):
        return
    joints = np.abs(np.diff(episode.joint_positions, axis=0))
    _check_moves(
        "joint_positions", joints, SPEED_MARGIN * np.outer(seconds, JOINT_SPEEDS) + JOINT_NOISE, "rad", seconds
    )
    width = np.abs(np.diff(episode.gripper_width))[:, None]
    _check_moves("gripper_width", width, GRIPPER_SPEED * seconds[:, None], "m", seconds)
    if episode.object_poses is None:
        return
    moved = np.linalg.norm(np.diff(episode.object_poses[:, :, :3], axis=0), axis=-1)
    seen = episode.observation().visible()
    moved = np.where(seen[1:] & seen[:-1], moved, 0.0)
    for k, name in enumerate(episode.attributes.object_names):
        limit = OBJECT_SPEED * seconds[:, None] + OBJECT_NOISE
        _check_moves(f"object_poses of {name}", moved[:, k : k + 1], limit, "m", seconds)


def _check_moves(field: str, moved: np.ndarray, limit: np.ndarray, unit: str, seconds: np.ndarray) -> None:
    """`moved` (T - 1, n) from each row to the next must be at most `limit`."""
    beyond = moved > limit
    if beyond.any():
        step, number = (int(index) for index in np.argwhere(beyond)[0])
        which = f" of joint {number + 1}" if field == "joint_positions" else ""
        raise EpisodeRejected(
            field,
            f"moving at most {limit[step, number]:.3g} {unit} in {seconds[step]:.3g} s",
            f"{moved[step, number]:.3g} {unit}{which} from step {step} to {step + 1}",
        )
