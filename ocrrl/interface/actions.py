"""The action, and `compose`, the only function that combines base and residual.

An action is 7 numbers at `CONTROL_HZ`:
    0:3  translation step [m] of the commanded gripper frame, robot base frame
    3:6  rotation step, rotation vector [rad], robot base frame
    6    gripper opening in [0, 1] (0 closed, 1 open), read through `gripper_opening`
"""

from typing import Any

import numpy as np

from ocrrl.interface import rotations
from ocrrl.interface.rotations import array_namespace

CONTROL_HZ = 20
ACTION_DIM = 7
ACTION_NAMES = ("dx", "dy", "dz", "drx", "dry", "drz", "gripper")

MAX_TRANSLATION_STEP = 0.02  # [m], per component
MAX_ROTATION_STEP = 0.10  # [rad], length of the rotation vector
TRANSLATION_LEASH = 0.05  # [m], commanded from measured position
ROTATION_LEASH = 0.35  # [rad], commanded from measured orientation

ROUNDING = 1e-9  # [m], [rad] by which what was applied may differ from what was asked for and still be that

ACTION_LOW = np.array([-MAX_TRANSLATION_STEP] * 3 + [-MAX_ROTATION_STEP] * 3 + [0.0], np.float32)
ACTION_HIGH = np.array([MAX_TRANSLATION_STEP] * 3 + [MAX_ROTATION_STEP] * 3 + [1.0], np.float32)


def compose(base_action: Any, residual: Any) -> Any:
    """The combined action a = a_base ⊕ residual (..., 7), within the step limits (Eq. 1).

    Translation and gripper add, rotations multiply as quaternions. Both arguments are actions (..., 7) in the units of
    this module; a residual's gripper entry is a signed change. Differentiable in torch.
    """
    xp = array_namespace(residual)
    rotation = rotations.to_rotation_vector(
        rotations.multiply(
            rotations.from_rotation_vector(base_action[..., 3:6]), rotations.from_rotation_vector(residual[..., 3:6])
        )
    )
    return limit(
        xp.concatenate(
            [base_action[..., :3] + residual[..., :3], rotation, base_action[..., 6:] + residual[..., 6:]], axis=-1
        )
    )


def limit(action: Any) -> Any:
    """`action` (..., 7) within the step limits: translation per component, rotation by its length, gripper in [0, 1]."""
    xp = array_namespace(action)
    rotation = action[..., 3:6]
    length = xp.sqrt((rotation * rotation).sum(axis=-1, keepdims=True) + 1e-12)
    return xp.concatenate(
        [
            xp.clip(action[..., :3], -MAX_TRANSLATION_STEP, MAX_TRANSLATION_STEP),
            rotation * xp.clip(MAX_ROTATION_STEP / length, None, 1.0),
            xp.clip(action[..., 6:], 0.0, 1.0),
        ],
        axis=-1,
    )


def gripper_opening(command: Any) -> Any:
    """The opening in [0, 1] that a commanded opening means: closed up to 0.25, open from 0.75, linear between.

    Saturation lets a bounded residual overrule a base that commands fully open or fully closed.
    """
    xp = array_namespace(command)
    return xp.clip(2.0 * command - 0.5, 0.0, 1.0)


def advance_command(commanded_pose: np.ndarray, measured_pose: np.ndarray, action: np.ndarray) -> np.ndarray:
    """The next commanded gripper pose (..., 7) [m, wxyz]: one action integrated, then held on the leash.

    The commanded pose stays within `TRANSLATION_LEASH` and `ROTATION_LEASH` of the measured one (..., 7), so that a blocked
    arm does not wind up a command far inside an obstacle.
    """
    position = commanded_pose[..., :3] + action[..., :3]
    offset = position - measured_pose[..., :3]
    distance = np.linalg.norm(offset, axis=-1, keepdims=True)
    position = measured_pose[..., :3] + offset * np.minimum(1.0, TRANSLATION_LEASH / np.maximum(distance, 1e-9))

    quaternion = rotations.multiply(rotations.from_rotation_vector(action[..., 3:6]), commanded_pose[..., 3:])
    measured = measured_pose[..., 3:]
    lag = rotations.turn_between(measured, quaternion)
    angle = np.linalg.norm(lag, axis=-1, keepdims=True)
    lag = lag * np.minimum(1.0, ROTATION_LEASH / np.maximum(angle, 1e-9))
    quaternion = rotations.normalise(rotations.multiply(rotations.from_rotation_vector(lag), measured))
    return np.concatenate([position, quaternion], axis=-1)


def step_between(commanded_pose: np.ndarray, next_pose: np.ndarray) -> np.ndarray:
    """The step (..., 6) [m, rad] from a commanded gripper pose (..., 7) to the next: `advance_command` undone."""
    turn = rotations.turn_between(commanded_pose[..., 3:], next_pose[..., 3:])
    return np.concatenate([next_pose[..., :3] - commanded_pose[..., :3], turn], axis=-1)


def applied_action(
    asked: np.ndarray, commanded_pose: np.ndarray, next_pose: np.ndarray | None, opening: float
) -> np.ndarray:
    """What was applied (7,) of the action `asked` (7,), when it took the command from `commanded_pose` to `next_pose` (7,).

    It is `asked` itself where no limit pulled it back. `next_pose` is None where it was refused: that is no motion, the gripper's
    entry staying `opening`, that of the last action applied. Where an arm that was pushed away drags its command along on
    the leash, the step may be beyond the step limits: no action does that, and an episode with such a row is refused by
    `ocrrl ingest`.
    """
    if next_pose is None:
        return np.array([0.0] * 6 + [opening])
    step = step_between(commanded_pose, next_pose)
    if np.allclose(step, asked[:6], rtol=0.0, atol=ROUNDING):
        step = asked[:6]
    return np.concatenate([step, asked[6:]])
