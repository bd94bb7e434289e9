"""Forward and inverse kinematics of seven-joint arms, batched.

Legend: N arms; q (N, 7) joint positions [rad]; a pose (N, 7) is position [m] and wxyz quaternion in the base frame.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ocrrl.interface import rotations
from ocrrl.interface.tabletop_tasks import HOME_JOINTS

DAMPING = 0.03
NULLSPACE_GAIN = 0.05
REACHED = 1e-4
"""[m], [rad] that `ArmKinematics.reach` may be off."""
_CONVERGED, _LIGHT_DAMPING, _MOST_ITERATIONS = 1e-10, 1e-3, 100


@dataclass(frozen=True)
class Chain:
    """An arm from its base to the gripper frame; each joint turns about its link's z axis."""

    link_positions: Float[np.ndarray, "7 3"]
    """[m], of each link in the one before, the first in the base."""
    link_quaternions: Float[np.ndarray, "7 4"]
    """wxyz, likewise, with the joint at zero."""
    gripper_pose: Float[np.ndarray, " 7"]
    """Of the gripper frame in the last link."""
    joint_limits: Float[np.ndarray, "7 2"]
    """[rad]"""


class ArmKinematics:
    """Where a `Chain` brings the gripper frame, and how to bring it elsewhere."""

    def __init__(self, chain: Chain):
        self._offset = chain.link_positions
        self._rotation = _matrices(chain.link_quaternions)
        self._gripper_rotation = _matrices(chain.gripper_pose[None, 3:])[0]
        self._gripper_offset = chain.gripper_pose[:3]
        self.joint_limits = chain.joint_limits

    def gripper_pose(self, q: np.ndarray) -> np.ndarray:
        """Pose of the gripper frame (N, 7)."""
        return self._pose(*self._forward(q)[:2])

    def jacobian(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The gripper pose (N, 7) and its geometric Jacobian (N, 6, 7): translation rows, then rotation."""
        position, matrix, origins, axes = self._forward(q)
        linear = np.cross(axes, position[:, None, :] - origins)
        return self._pose(position, matrix), np.concatenate([linear, axes], axis=-1).transpose(0, 2, 1)

    def step_towards(self, q: np.ndarray, target_pose: np.ndarray) -> np.ndarray:
        """Joint positions (N, 7) after one damped least-squares step from `q` towards `target_pose` (N, 7).

        dq = Jᵀ(JJᵀ + λ²I)⁻¹ e + (I - J⁺J) k (q_home - q), clipped to the joint limits.
        """
        pose, jacobian = self.jacobian(q)
        rotation_error = rotations.turn_between(pose[:, 3:], target_pose[:, 3:])
        error = np.concatenate([target_pose[:, :3] - pose[:, :3], rotation_error], axis=-1)
        transposed = jacobian.transpose(0, 2, 1)
        homeward = NULLSPACE_GAIN * (np.asarray(HOME_JOINTS) - q)
        task = error - np.einsum("nij,nj->ni", jacobian, homeward)
        gram = jacobian @ transposed + DAMPING**2 * np.eye(6)
        dq = homeward + (transposed @ np.linalg.solve(gram, task[..., None]))[..., 0]
        return np.clip(q + dq, self.joint_limits[:, 0] + 0.02, self.joint_limits[:, 1] - 0.02)

    def reach(self, q: np.ndarray, target_pose: np.ndarray) -> np.ndarray:
        """Joint positions (N, 7) near `q` that bring the gripper to `target_pose` (N, 7): Gauss-Newton, no pull to the home position.

        ValueError where an arm cannot get within `REACHED` of it inside its joint limits.
        """
        low, high = self.joint_limits[:, 0], self.joint_limits[:, 1]
        for _ in range(_MOST_ITERATIONS):
            pose, jacobian = self.jacobian(q)
            turn = rotations.turn_between(pose[:, 3:], target_pose[:, 3:])
            error = np.concatenate([target_pose[:, :3] - pose[:, :3], turn], axis=-1)
            if np.abs(error).max(initial=0.0) < _CONVERGED:
                return q
            gram = jacobian @ jacobian.transpose(0, 2, 1) + _LIGHT_DAMPING**2 * np.eye(6)
            q = np.clip(
                q + np.einsum("nji,nj->ni", jacobian, np.linalg.solve(gram, error[..., None])[..., 0]), low, high
            )
        off = np.abs(error).max(axis=-1)
        if off.max() > REACHED:
            worst = int(off.argmax())
            raise ValueError(
                f"gripper poses must be within the arm's reach, got position {np.round(target_pose[worst, :3], 3).tolist()} m, wxyz"
                f" {np.round(target_pose[worst, 3:], 3).tolist()}, which the joints miss by {off[worst]:.2g} m or rad"
            )
        return q

    def _forward(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Gripper position (N, 3) and rotation (N, 3, 3); joint origins and axes (N, 7, 3)."""
        n = len(q)
        cosine, sine = np.cos(q), np.sin(q)
        position, matrix = np.zeros((n, 3)), np.broadcast_to(np.eye(3), (n, 3, 3))
        origins, axes = np.empty((n, 7, 3)), np.empty((n, 7, 3))
        for joint in range(7):
            position = position + matrix @ self._offset[joint]
            matrix = matrix @ self._rotation[joint]
            origins[:, joint], axes[:, joint] = position, matrix[:, :, 2]
            c, s = cosine[:, joint, None], sine[:, joint, None]
            x, y = matrix[:, :, 0], matrix[:, :, 1]
            matrix = np.stack([c * x + s * y, c * y - s * x, matrix[:, :, 2]], axis=-1)
        return position + matrix @ self._gripper_offset, matrix @ self._gripper_rotation, origins, axes

    def _pose(self, position: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        return np.concatenate([position, rotations.from_matrix(matrix)], axis=-1)


def _matrices(quaternions: np.ndarray) -> np.ndarray:
    return rotations.to_matrix(rotations.normalise(np.asarray(quaternions, float)))
