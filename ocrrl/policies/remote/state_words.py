"""What a policy server is sent of the robot's state: for each of its keys a word, or several whose numbers follow each other.

| word | numbers |
|---|---|
| `proprioception` | 8, as our own VLAs get it: gripper position, wxyz, width |
| `gripper_pose`, `commanded_pose` | 7: position, wxyz |
| `gripper_position` | 3 |
| `gripper_<rotation form>` | of `interface.rotation_forms`: `gripper_quaternion_xyzw`, `gripper_rotation_vector`, ... |
| `gripper_width` | 1 |
| `gripper_opening`, `gripper_closing` | 1: 0 closed and 1 open, or the reverse |
| `finger_positions` | 2: half the width and its negative, as LIBERO has them |
| `joint_positions` | 7 |

Legend: n robots. Positions and widths [m], joints [rad], in the robot's base frame.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from ocrrl.interface import rotations
from ocrrl.interface.observations import GRIPPER_DOWN, MAX_GRIPPER_WIDTH, RobotState
from ocrrl.interface.rotation_forms import check_rotation_form, in_form

_ROTATION = "gripper_"  # before the name of a rotation form


def _opening(robot: RobotState) -> np.ndarray:
    return np.clip(robot.gripper_width[:, None] / MAX_GRIPPER_WIDTH, 0.0, 1.0)


WORDS: Mapping[str, Callable[[RobotState], Float[np.ndarray, "n d"]]] = {
    "proprioception": lambda robot: robot.proprioception(),
    "gripper_pose": lambda robot: robot.gripper_pose,
    "commanded_pose": lambda robot: robot.commanded_pose,
    "gripper_position": lambda robot: robot.gripper_pose[:, :3],
    "gripper_width": lambda robot: robot.gripper_width[:, None],
    "gripper_opening": _opening,
    "gripper_closing": lambda robot: 1.0 - _opening(robot),
    "finger_positions": lambda robot: robot.gripper_width[:, None] * [0.5, -0.5],
    "joint_positions": lambda robot: robot.joint_positions,
}
"""Those that are no rotation."""


def require_words(where: str, words: Sequence[str]) -> None:
    """ValueError that begins with `where` unless all of `words`, of which there is at least one, are known."""
    unknown = [word for word in words if word not in WORDS and not _is_rotation(word)]
    if unknown or not words:
        got = ", ".join(map(str, unknown)) or "none"
        raise ValueError(
            f"{where} must be a word or a list of words among {', '.join(WORDS)}, gripper_quaternion_xyzw, gripper_rotation_vector "
            f"and the other rotation forms, got {got}"
        )


def state_in_words(robot: RobotState, words: Sequence[str]) -> Float[np.ndarray, "n d"]:
    """The numbers that `words` stand for, side by side, float64."""
    return np.concatenate([np.asarray(_numbers(robot, word), np.float64) for word in words], axis=-1)


def _numbers(robot: RobotState, word: str) -> np.ndarray:
    if word in WORDS:
        return WORDS[word](robot)
    quaternion = rotations.nearest_sign(
        robot.gripper_pose[:, 3:], GRIPPER_DOWN
    )  # continuous about the gripper that points down
    return in_form(quaternion, word.removeprefix(_ROTATION))


def _is_rotation(word: str) -> bool:
    try:
        check_rotation_form(word, word.removeprefix(_ROTATION))
    except ValueError:
        return False
    return word.startswith(_ROTATION)
