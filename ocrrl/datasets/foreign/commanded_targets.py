"""Recorded commands that are poses: where the gripper was asked to be, in our frames.

Legend: T rows; poses (T, 7) are position [m] and wxyz quaternion, robot base frame.
"""

import numpy as np
from jaxtyping import Float

from ocrrl.datasets.episode_checks import EpisodeRejected
from ocrrl.datasets.foreign.pose_declaration import PoseDeclaration
from ocrrl.datasets.foreign.transform_words import describe_turn, is_neat, rounded, tool_line
from ocrrl.datasets.pose_agreement import apart, inverse, mean_rotation, product
from ocrrl.interface.actions import ROTATION_LEASH

_SNAP = np.radians(10.0)  # commands run ahead of the measured pose


def commanded_targets(
    position: Float[np.ndarray, "T 3"],
    rotation: Float[np.ndarray, "T n"],
    declared: PoseDeclaration,
    measured: Float[np.ndarray, "T 7"],
) -> Float[np.ndarray, "T 7"]:
    """The commanded poses as `declared`.

    Raises `EpisodeRejected` where they are turned away from the measured ones throughout, with the line that would say so.
    """
    targets = declared.gripper_poses(position, rotation, "command_position")
    if apart(targets, measured).rotation > ROTATION_LEASH:
        turn = mean_rotation(product(inverse(measured), targets)[:, 3:])
        offset = rounded(np.concatenate([np.zeros(3), turn]), snap_turn=_SNAP)
        if is_neat(offset) and apart(targets, product(measured, offset)).rotation <= ROTATION_LEASH:
            whole = product(offset, np.array(declared.tool_in_gripper))
            raise EpisodeRejected(
                "command_rotation",
                "the measured gripper's, but for the motion",
                f"one that is {describe_turn(offset)} throughout; add to the mapping: command_{tool_line(whole)}",
            )
    return targets
