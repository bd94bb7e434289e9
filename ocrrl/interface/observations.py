"""The observations of the policies, the same in simulation and on the robot (Eq. 2).

Legend: N environments, O tracked objects; positions [m] and wxyz quaternions in the robot base frame.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from jaxtyping import Bool, Float

from ocrrl.interface import rotations
from ocrrl.interface.actions import MAX_ROTATION_STEP, MAX_TRANSLATION_STEP
from ocrrl.interface.rotations import array_namespace
from ocrrl.interface.tabletop_tasks import HOME_JOINTS, TabletopTask

Images = dict[str, np.ndarray]
"""Camera name to RGB images (N, height, width, 3) uint8."""

CONFIDENCE_THRESHOLD = 0.5  # tau_c, appendix A.6
GRIPPER_DOWN = np.array([0.0, 1.0, 0.0, 0.0])  # fingers point to the table, closing axis along the base's y
WORKSPACE_CENTRE = np.array([0.5, 0.0, 0.1])  # [m]
POSITION_SCALE = 0.1  # [m] that one unit of a position in the base frame stands for
NEAR = 0.01  # [m] below which distances between things count in proportion, above by their logarithm
MAX_GRIPPER_WIDTH = 0.08  # [m]

PROPRIOCEPTION_NAMES = ("x", "y", "z", "qw", "qx", "qy", "qz", "gripper_width")
PROPRIOCEPTION_DIM = len(PROPRIOCEPTION_NAMES)
OBJECT_FEATURES = 13
OFFSET_FEATURES = 3  # of each further object from the first
ROBOT_FEATURES = PROPRIOCEPTION_DIM + 6
ACTION_FEATURES = 7
PHASE_FEATURES = 2


@dataclass
class RobotState:
    """What N robots know of themselves at one control step."""

    gripper_pose: Float[np.ndarray, "N 7"]
    """Measured pose of the gripper frame (between the fingertips)."""
    commanded_pose: Float[np.ndarray, "N 7"]
    """The pose the controller is tracking; actions are steps of it."""
    joint_positions: Float[np.ndarray, "N 7"]
    """[rad]"""
    gripper_width: Float[np.ndarray, " N"]
    """Distance between the fingers [m]."""

    def proprioception(self) -> Float[np.ndarray, "N 8"]:
        """What most VLAs are given of the robot: gripper position [m], quaternion (sign continuous about down), width [m]."""
        quaternion = rotations.nearest_sign(self.gripper_pose[:, 3:], GRIPPER_DOWN)
        return np.concatenate([self.gripper_pose[:, :3], quaternion, self.gripper_width[:, None]], axis=-1).astype(
            np.float32
        )

    @classmethod
    def at_rest(cls, proprioception: Float[np.ndarray, "N 8"]) -> "RobotState":
        """Robots that stand still with this `proprioception`, the joints as at home: for a VLA that looks at no joints."""
        pose, joints = np.asarray(proprioception[:, :7]), np.tile(HOME_JOINTS, (len(proprioception), 1))
        return RobotState(pose, pose, joints, np.asarray(proprioception[:, 7]))

    def take(self, ids: np.ndarray) -> Self:
        """The state of the robots `ids` (n,) only."""
        return type(self)(**{name: value[ids] for name, value in self.arrays().items()})

    def arrays(self) -> dict[str, np.ndarray]:
        """The fields that are there, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass
class Observation(RobotState):
    """The state of N cells or environments at one control step, without images (they are captured on demand)."""

    object_poses: Float[np.ndarray, "N O 7"]
    """Canonical poses of the tabletop task's tracked objects, as the tracker (or the simulator) gives them."""
    object_confidence: Float[np.ndarray, "N O"]
    """In [0, 1], the tracker's own; 1 for the simulator's own poses."""
    object_visible: Bool[np.ndarray, "N O"] | None = None
    """The objects that a gate on poses shows the policies; None where there is no gate but the confidence."""

    def visible(self) -> Bool[np.ndarray, "N O"]:
        """The objects whose pose the policies are shown (Algorithm 2, line 9)."""
        return self.object_confidence >= CONFIDENCE_THRESHOLD if self.object_visible is None else self.object_visible


def residual_observation_dim(task: TabletopTask, chunk_phase: bool = False, coming_actions: int = 0) -> int:
    """Length D of `residual_observation` for `task`, with these `chunk_features_dim`."""
    others = len(task.objects) - 1
    return (
        OBJECT_FEATURES * len(task.objects)
        + OFFSET_FEATURES * others
        + ROBOT_FEATURES
        + ACTION_FEATURES
        + chunk_features_dim(chunk_phase, coming_actions)
    )


def chunk_features_dim(chunk_phase: bool, coming_actions: int) -> int:
    """C, the length of `protocols.chunk_features`."""
    return PHASE_FEATURES * chunk_phase + ACTION_FEATURES * coming_actions


def residual_observation(
    observation: Observation,
    base_action: np.ndarray,
    visible: np.ndarray,
    chunk_features: Float[np.ndarray, "N C"] | None = None,
) -> Float[np.ndarray, "N D"]:
    """The residual's observation s_t = [object poses, proprioception, base action] (Eq. 2), float32, of order one.

    `base_action` (N, 7); `visible` (N, O) bool: objects that are not visible, whether dropped in training (Eq. 5) or below
    the confidence threshold in deployment (Algorithm 2, line 9), have their whole vector zeroed, derived features with it.
    `chunk_features` (of the function in `protocols`) come last, for residuals that were trained with them.
    Derived are an object's pose in the gripper's frame, and where further objects lie from the first one.
    """
    objects = observation.object_poses
    gripper = observation.gripper_pose[:, None, :]
    relative_rotation = rotations.multiply(
        np.broadcast_to(
            rotations.multiply(GRIPPER_DOWN, rotations.conjugate(gripper[..., 3:])), objects[..., 3:].shape
        ),
        objects[..., 3:],
    )
    object_features = np.concatenate(
        [
            (objects[..., :3] - WORKSPACE_CENTRE) / POSITION_SCALE,
            objects[..., 3:],
            distance_features(objects[..., :3] - gripper[..., :3]),
            rotations.to_rotation_vector(relative_rotation),
        ],
        axis=-1,
    )
    object_features = np.where(visible[..., None], object_features, 0.0)
    offsets = distance_features(objects[:, 1:, :3] - objects[:, :1, :3])
    offsets = np.where((visible[:, 1:] & visible[:, :1])[..., None], offsets, 0.0)
    return np.concatenate(
        [
            object_features.reshape(len(objects), -1),
            offsets.reshape(len(objects), -1),
            robot_features(observation),
            action_features(base_action),
            *([] if chunk_features is None else [chunk_features]),
        ],
        axis=-1,
    ).astype(np.float32)


def distance_features(distance: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Distances [m] along an axis, of order one: millimetres count next to a thing, decimetres far from it."""
    return np.arcsinh(distance / NEAR) / 2.0


def robot_features(observation: Observation) -> Float[np.ndarray, "N 14"]:
    """Proprioception of order one: gripper pose and width, and where the command stands relative to it."""
    gripper, commanded = observation.gripper_pose, observation.commanded_pose
    return np.concatenate(
        [
            (gripper[:, :3] - WORKSPACE_CENTRE) / POSITION_SCALE,
            rotations.nearest_sign(gripper[:, 3:], GRIPPER_DOWN),
            2.0 * observation.gripper_width[:, None] / MAX_GRIPPER_WIDTH - 1.0,
            (commanded[:, :3] - gripper[:, :3]) / MAX_TRANSLATION_STEP,
            rotations.turn_between(gripper[:, 3:], commanded[:, 3:]) / MAX_ROTATION_STEP,
        ],
        axis=-1,
    )


def action_features(action: Any) -> Any:
    """An action (..., 7) in units of its limits, the gripper in [-1, 1]; numpy or torch."""
    xp = array_namespace(action)
    return xp.concatenate(
        [
            action[..., :3] / MAX_TRANSLATION_STEP,
            action[..., 3:6] / MAX_ROTATION_STEP,
            2.0 * action[..., 6:] - 1.0,
        ],
        axis=-1,
    )


def action_of_features(features: Any) -> Any:
    """The action (..., 7) whose `action_features` these are; numpy or torch."""
    xp = array_namespace(features)
    return xp.concatenate(
        [
            features[..., :3] * MAX_TRANSLATION_STEP,
            features[..., 3:6] * MAX_ROTATION_STEP,
            (features[..., 6:] + 1.0) / 2.0,
        ],
        axis=-1,
    )
