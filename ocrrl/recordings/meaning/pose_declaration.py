"""How a recording writes poses, and what they are in our frames.

Legend: T rows; a pose is position [m] and wxyz quaternion.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ocrrl.episodes.pose_agreement import inverse, product
from ocrrl.interface import rotations
from ocrrl.recordings.meaning.rotation_forms import to_quaternions

Numbers = tuple[float, ...]
NOWHERE: Numbers = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class PoseDeclaration:
    """What a mapping declares of the recorded poses; the fields bear the mapping's names."""

    rotation_form: str
    rotation_inverse: bool = False
    position_scale: float = 1.0
    base_pose: Numbers = NOWHERE
    tool_in_gripper: Numbers = NOWHERE

    def gripper_poses(
        self, position: Float[np.ndarray, "T 3"], rotation: Float[np.ndarray, "T n"], field: str = "gripper_pose"
    ) -> Float[np.ndarray, "T 7"]:
        """Our gripper frame in the robot's base frame, of recorded tool poses; raises `EpisodeRejected`."""
        poses = self.recorded_poses(field, position, rotation)
        if self.tool_in_gripper != NOWHERE:
            poses = product(poses, inverse(np.array(self.tool_in_gripper)))
        return self._in_base(poses)

    def object_poses(
        self, name: str, numbers: Float[np.ndarray, "T n"], form: str | None = None
    ) -> Float[np.ndarray, "T 7"]:
        """An object's poses in the robot's base frame, of recorded positions and rotations in `form`."""
        field = f"object_poses.{name}"
        position = self.position_scale * numbers[:, :3]
        return self._in_base(
            np.concatenate([position, to_quaternions(field, numbers[:, 3:], form or self.rotation_form)], axis=-1)
        )

    def recorded_poses(self, field: str, position: np.ndarray, rotation: np.ndarray) -> np.ndarray:
        """The poses (T, 7) as they were recorded, in the recording's frames."""
        quaternions = to_quaternions(field, rotation, self.rotation_form)
        if self.rotation_inverse:
            quaternions = rotations.conjugate(quaternions)
        return np.concatenate([self.position_scale * position, quaternions], axis=-1)

    def _in_base(self, poses: np.ndarray) -> np.ndarray:
        if self.base_pose == NOWHERE:
            return poses
        base = np.array(self.base_pose)
        to_base = np.broadcast_to(rotations.conjugate(base[3:]), (len(poses), 4))
        position = rotations.rotate(to_base, poses[:, :3] - base[:3])
        return np.concatenate([position, rotations.multiply(to_base, poses[:, 3:])], axis=-1)
