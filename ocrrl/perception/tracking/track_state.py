"""What a geometric tracker carries from frame to frame, and what it knows of one frame."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ocrrl.interface import rotations
from ocrrl.interface.frames import Frame
from ocrrl.interface.kinematics import ArmKinematics
from ocrrl.interface.observations import MAX_GRIPPER_WIDTH
from ocrrl.interface.protocols import RobotPosture
from ocrrl.perception.tracking.fitting.pixels import ColourModel
from ocrrl.perception.tracking.fitting.pose_fit import Body
from ocrrl.perception.tracking.fitting.robot_mask import robot_capsules
from ocrrl.perception.tracking.fitting.signed_distance import signed_distance, signed_distances
from ocrrl.perception.tracking.fitting.table_plane import TablePlane

NEAR_ROBOT = 0.04  # [m] between an object and the arm that may move it within a frame
HELD_WITHIN = 0.012  # [m] of an object's surface the gripper frame is when it holds it


class Start(NamedTuple):
    """A pose to refine, and how far off it may be."""

    rotation: np.ndarray
    position: np.ndarray
    spread: tuple[float, float]
    """Standard deviations [m], [rad]."""
    on_pads: bool = False
    """Whether it is the one that the hand's pads leave to what they hold."""


@dataclass
class Track:
    """One object as it was last seen."""

    body: Body
    colour: ColourModel
    reference: np.ndarray
    """The last confident orientation (4,), wxyz."""
    rotation: np.ndarray = field(default_factory=lambda: np.eye(3))
    position: np.ndarray = field(default_factory=lambda: np.zeros(3))
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(3))
    spread: tuple[float, float] = (0.02, 0.2)
    """Standard deviations [m], [rad]."""
    confidence: float = 0.0
    found: bool = False
    lost_frames: int = 0
    held: bool = False
    """Whether the hand holds it."""
    features: np.ndarray | None = None
    """What its confidence was computed from; None while it is lost."""
    place: int | None = None
    """Of a part that slides: which of its places it is in."""
    touched: bool = False
    """Of a part that slides: whether the robot was near since it was seen last."""
    closed: bool = False
    """Of a part that slides: whether it is closed, so that it looks like a part of its holder."""

    @property
    def seen(self) -> bool:
        """Whether it was found in the latest frame."""
        return self.found and self.lost_frames == 0

    @property
    def placed(self) -> tuple[Body, np.ndarray, np.ndarray]:
        """The body with its rotation and position."""
        return self.body, self.rotation, self.position


@dataclass(frozen=True)
class Scene:
    """What is the same for every object of a frame."""

    frame: Frame
    table: TablePlane
    capsules: np.ndarray
    tcp: np.ndarray
    hand: np.ndarray
    """Rotation (3, 3) of the gripper frame."""
    width: float


def scene_of(frame: Frame, robot: RobotPosture, table: TablePlane, kinematics: ArmKinematics) -> Scene:
    """The frame with the arm where `robot` says."""
    pose = kinematics.gripper_pose(np.asarray(robot.joint_positions, float)[None])[0]
    capsules = robot_capsules(kinematics, robot)
    return Scene(frame, table, capsules, pose[:3], rotations.to_matrix(pose[3:]), float(robot.gripper_width))


def in_hand(track: Track, scene: Scene) -> bool:
    """Whether the hand is about the object and not wide open."""
    x, y, z = track.rotation.T @ (scene.tcp - track.position)
    near = signed_distance(track.body.rows, x, y, z)[0] < HELD_WITHIN
    return bool(near and scene.width < MAX_GRIPPER_WIDTH - 0.002 and not track.body.shape.stands)


def near_robot(track: Track, scene: Scene) -> bool:
    """Whether the arm is near enough to move the object."""
    ends = scene.capsules[:, :6].reshape(-1, 2, 3)
    points = np.concatenate([ends[:, 0], ends.mean(1), ends[:, 1]])
    distance = signed_distances(track.body.rows, (points - track.position) @ track.rotation)
    return bool((distance - np.tile(scene.capsules[:, 6], 3)).min() < NEAR_ROBOT)
