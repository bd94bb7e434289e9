"""What a policy server is sent of the robot's state: for each of its keys a word, or several whose numbers follow each other.

Legend: n robots. Positions and widths [m], joints [rad], in the robot's base frame.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from ocrrl.interface import rotations
from ocrrl.interface.observations import GRIPPER_DOWN, MAX_GRIPPER_WIDTH, RobotState

Word = Callable[[RobotState], Float[np.ndarray, "n d"]]


def _quaternion(robot: RobotState) -> np.ndarray:
    """Of the measured gripper pose, its sign continuous about the gripper that points down."""
    return rotations.nearest_sign(robot.gripper_pose[:, 3:], GRIPPER_DOWN)


def _opening(robot: RobotState) -> np.ndarray:
    return np.clip(robot.gripper_width[:, None] / MAX_GRIPPER_WIDTH, 0.0, 1.0)


def _fingers(robot: RobotState) -> np.ndarray:
    half = 0.5 * robot.gripper_width[:, None]
    return np.concatenate([half, -half], axis=-1)


def _columns(robot: RobotState) -> np.ndarray:
    """The first two columns of the rotation matrix, one after the other (Zhou et al. 2019)."""
    return rotations.to_matrix(_quaternion(robot))[:, :, :2].swapaxes(1, 2).reshape(-1, 6)


WORDS: Mapping[str, Word] = {
    "proprioception": lambda robot: robot.proprioception(),
    "gripper_pose": lambda robot: robot.gripper_pose,
    "commanded_pose": lambda robot: robot.commanded_pose,
    "gripper_position": lambda robot: robot.gripper_pose[:, :3],
    "gripper_quaternion_wxyz": _quaternion,
    "gripper_quaternion_xyzw": lambda robot: np.roll(_quaternion(robot), -1, axis=-1),
    "gripper_rotation_vector": lambda robot: rotations.to_rotation_vector(_quaternion(robot)),
    "gripper_rotation_6d": _columns,
    "gripper_rotation_6d_rows": lambda robot: rotations.to_matrix(_quaternion(robot))[:, :2].reshape(-1, 6),
    "gripper_width": lambda robot: robot.gripper_width[:, None],
    "gripper_opening": _opening,
    "gripper_closing": lambda robot: 1.0 - _opening(robot),
    "finger_positions": _fingers,
    "joint_positions": lambda robot: robot.joint_positions,
}
"""`gripper_pose` and `commanded_pose`: position, then wxyz; `gripper_opening`: 0 closed, 1 open, `gripper_closing` the reverse;
`finger_positions`: half the width and its negative, as LIBERO has them."""


def require_words(where: str, words: Sequence[str]) -> None:
    """ValueError that begins with `where` unless all of `words`, of which there is at least one, are known."""
    unknown = [word for word in words if word not in WORDS]
    if unknown or not words:
        got = ", ".join(map(str, unknown)) or "none"
        raise ValueError(f"{where} must be a word or a list of words among {', '.join(WORDS)}, got {got}")


def state_in_words(robot: RobotState, words: Sequence[str]) -> Float[np.ndarray, "n d"]:
    """The numbers that `words` stand for, side by side, float64."""
    return np.concatenate([np.asarray(WORDS[word](robot), np.float64) for word in words], axis=-1)
