"""Forward and inverse kinematics of the FR3's seven joints for many arms at once.

Legend: N arms; q (N, 7) joint positions [rad]; a pose (N, 7) is position [m] and wxyz quaternion in the base frame.
The chain is read from the compiled model, so a scene and its kinematics cannot disagree.
"""

# pyright: reportAttributeAccessIssue=false
import mujoco
import numpy as np

from ocrrl.interface import rotations
from ocrrl.interface.tabletop_tasks import HOME_JOINTS

TCP_IN_HAND = (0.0, 0.0, 0.1034)  # [m], between the fingertips (Franka Hand manual)
DAMPING = 0.03
NULLSPACE_GAIN = 0.05


class ArmKinematics:
    """The FR3's chain from base to the gripper frame."""

    def __init__(self, model: mujoco.MjModel):
        bodies = [model.body(f"fr3_link{i}").id for i in range(1, 8)]
        self._offset = model.body_pos[bodies].copy()
        self._rotation = _matrices(model.body_quat[bodies])
        hand = model.body("hand").id
        self._hand_rotation = _matrices(model.body_quat[hand][None])[0]
        self._tcp_offset = model.body_pos[hand] + self._hand_rotation @ np.asarray(TCP_IN_HAND)
        joints = [model.joint(f"fr3_joint{i}").id for i in range(1, 8)]
        self.joint_limits = model.jnt_range[joints].copy()

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
        rotation_error = rotations.to_rotation_vector(
            rotations.multiply(target_pose[:, 3:], rotations.conjugate(pose[:, 3:]))
        )
        error = np.concatenate([target_pose[:, :3] - pose[:, :3], rotation_error], axis=-1)
        transposed = jacobian.transpose(0, 2, 1)
        homeward = NULLSPACE_GAIN * (np.asarray(HOME_JOINTS) - q)
        task = error - np.einsum("nij,nj->ni", jacobian, homeward)
        gram = jacobian @ transposed + DAMPING**2 * np.eye(6)
        dq = homeward + (transposed @ np.linalg.solve(gram, task[..., None]))[..., 0]
        return np.clip(q + dq, self.joint_limits[:, 0] + 0.02, self.joint_limits[:, 1] - 0.02)

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
        return position + matrix @ self._tcp_offset, matrix @ self._hand_rotation, origins, axes

    def _pose(self, position: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        return np.concatenate([position, _quaternions(matrix)], axis=-1)


def _matrices(quaternions: np.ndarray) -> np.ndarray:
    return rotations.to_matrix(rotations.normalise(np.asarray(quaternions, float)))


def _quaternions(matrix: np.ndarray) -> np.ndarray:
    """Quaternions (N, 4) of rotation matrices (N, 3, 3), by the largest of the four candidates (Shepperd 1978)."""
    m00, m11, m22 = matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, 2, 2]
    squares = np.stack([1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22], axis=-1)
    a, b, c = (matrix[:, 2, 1], matrix[:, 0, 2], matrix[:, 1, 0])
    d, e, f = (matrix[:, 1, 2], matrix[:, 2, 0], matrix[:, 0, 1])
    rows = np.stack(
        [
            np.stack([squares[:, 0], a - d, b - e, c - f], axis=-1),
            np.stack([a - d, squares[:, 1], c + f, b + e], axis=-1),
            np.stack([b - e, c + f, squares[:, 2], a + d], axis=-1),
            np.stack([c - f, b + e, a + d, squares[:, 3]], axis=-1),
        ],
        axis=1,
    )
    best = rows[np.arange(len(matrix)), squares.argmax(-1)]
    return best / np.linalg.norm(best, axis=-1, keepdims=True)
