"""Pose augmentation: noise (Eq. 4) and dropout (Eq. 5) on object poses, drawn at every time step.

Legend: N environments, O tracked objects; positions [m] and wxyz quaternions in the robot base frame.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from ocrrl.interface import rotations
from ocrrl.interface.tabletop_tasks import TabletopTask


@dataclass(frozen=True)
class PoseAugmentation:
    """How far poses are perturbed; the defaults are the paper's (appendix A.6), `object_dropout` is our addition."""

    max_position_noise: float = 0.005
    """sigma_p_max [m]."""
    max_rotation_noise: float = 0.1
    """sigma_q_max [rad]."""
    dropout: float = 0.1
    """rho_drop: probability that an environment loses all its objects at once."""
    object_dropout: float = 0.0
    """Probability that it loses one object, for each object by itself: a tracker loses one at a time."""

    def __post_init__(self) -> None:
        for name in ("max_position_noise", "max_rotation_noise"):
            if not getattr(self, name) >= 0.0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        for name in ("dropout", "object_dropout"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")

    def augment(
        self, object_poses: Float[np.ndarray, "N O 7"], generator: np.random.Generator, task: TabletopTask
    ) -> tuple[Float[np.ndarray, "N O 7"], Bool[np.ndarray, "N O"]]:
        """Noisy poses, and which objects stay visible; `residual_observation` zeroes the vectors of the others.

        Eq. 4: p + e_p with every component of e_p ~ U(-s, s), s ~ U(0, sigma_p_max); q ⊗ e_q, a turn about an axis
        drawn uniformly whose angle is drawn alike with sigma_q_max. A scale s belongs to one object at one time step. An
        object that `task` lets slide only is displaced along its slide.
        """
        n, objects = object_poses.shape[:2]
        position_scale = generator.uniform(0.0, self.max_position_noise, (n, objects, 1))
        position_noise = position_scale * generator.uniform(-1.0, 1.0, (n, objects, 3))
        angle_scale = generator.uniform(0.0, self.max_rotation_noise, (n, objects, 1))
        angle = angle_scale * generator.uniform(-1.0, 1.0, (n, objects, 1))
        axis = generator.standard_normal((n, objects, 3))
        axis /= np.linalg.norm(axis, axis=-1, keepdims=True)
        position_noise, turn = task.restrict_errors(object_poses[..., 3:], position_noise, axis * angle)
        rotation_noise = rotations.from_rotation_vector(turn)
        poses = np.concatenate(
            [object_poses[..., :3] + position_noise, rotations.multiply(object_poses[..., 3:], rotation_noise)], axis=-1
        )
        lost = generator.random((n, 1)) < self.dropout
        lost = lost | (generator.random((n, objects)) < self.object_dropout)
        return poses.astype(object_poses.dtype), ~lost
