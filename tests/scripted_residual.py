"""A residual that lifts the cuboid of Cube Lift whatever the base does; stands for a trained one where the base solves nothing."""

import numpy as np

from ocrrl.interface import rotations
from ocrrl.interface.actions import MAX_ROTATION_STEP, MAX_TRANSLATION_STEP
from ocrrl.interface.observations import MAX_GRIPPER_WIDTH, POSITION_SCALE, WORKSPACE_CENTRE

HOVER, GRASP, RAISED = 0.10, 0.018, 0.12  # [m]
NEAR = 0.006  # [m], of the cuboid's centre in the plane of the table
ALIGNED = 0.08  # [rad]
GAIN = 0.45
WIDTH = 0.045  # [m]: the fingers hold the cuboid, which is 4 cm wide


class ScriptedLift:
    """Above the cuboid with the closing axis across it, down, close, up: from the residual's own observation, without memory."""

    every, chunk_phase, coming_actions = 1, False, 0

    def residual(self, residual_observation: np.ndarray) -> np.ndarray:
        """What is missing from the base's actions (n, 7) to the wanted ones."""
        cuboid, robot, base = np.split(residual_observation.astype(np.float64), [13, 27], axis=-1)
        base = base / [*[1 / MAX_TRANSLATION_STEP] * 3, *[1 / MAX_ROTATION_STEP] * 3, 2.0]
        base[:, 6] += 0.5
        position, gripper = (part[:, :3] * POSITION_SCALE + WORKSPACE_CENTRE for part in (cuboid, robot))
        width = (robot[:, 7] + 1.0) / 2.0 * MAX_GRIPPER_WIDTH
        yaw = (cuboid[:, 12] + np.pi / 2) % np.pi - np.pi / 2  # the cuboid looks the same after half a turn
        wanted = np.stack([_wanted(*row) for row in zip(position - gripper, gripper[:, 2], width, yaw, strict=True)])
        turn = rotations.multiply(
            rotations.conjugate(rotations.from_rotation_vector(base[:, 3:6])),
            rotations.from_rotation_vector(wanted[:, 3:6]),
        )
        wanted[:, 3:6] = rotations.to_rotation_vector(turn)
        wanted[:, [0, 1, 2, 6]] -= base[:, [0, 1, 2, 6]]
        return wanted.astype(np.float32)


def _wanted(away: np.ndarray, height: float, width: float, yaw: float) -> np.ndarray:
    """The action (7,) of a gripper at `height` from which the cuboid's centre is `away` (3,)."""
    above = np.hypot(*away[:2]) < NEAR and abs(yaw) < ALIGNED
    down = height < GRASP + 0.008
    held = width < WIDTH and np.hypot(*away[:2]) < 2 * NEAR
    goal = RAISED if held else GRASP if above or down else HOVER
    step = GAIN * np.array([away[0], away[1], goal - height])
    turn = np.array([0.0, 0.0, GAIN * yaw])
    if held:
        step[:2], turn[2] = 0.0, 0.0
    return np.concatenate([np.clip(step, -0.015, 0.015), np.clip(turn, -0.08, 0.08), [0.0 if held or down else 1.0]])
