"""State of the geometric tracker between frames, and its data of one frame: which pixels are whose."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ocrrl.interface import rotations
from ocrrl.interface.frames import Frame
from ocrrl.interface.kinematics import ArmKinematics
from ocrrl.interface.observations import MAX_GRIPPER_WIDTH
from ocrrl.interface.protocols import RobotPosture
from ocrrl.perception.tracking.fitting.drawer_slide import SlideView, where_it_may_be
from ocrrl.perception.tracking.fitting.gauss_newton import NARROW
from ocrrl.perception.tracking.fitting.object_pixels import Placed, Sight, pixels_about, sight_of
from ocrrl.perception.tracking.fitting.pixels import ColourModel, Pixels
from ocrrl.perception.tracking.fitting.pose_fit import APART, Body, Fit, fit, with_lead
from ocrrl.perception.tracking.fitting.signed_distance import signed_distance, signed_distances
from ocrrl.perception.tracking.fitting.table_plane import TablePlane

NEAR_ROBOT = 0.04  # [m] between an object and the arm that may move it within a frame
HELD_WITHIN = 0.012  # [m] of an object's surface the gripper frame is when it holds it
REFIT_WIDTHS = np.geomspace(0.025, NARROW, 6)  # [m]
REFIT_SPREAD = (0.02, 0.10)  # [m], [rad]


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
class Scene(Sight):
    """What is the same for every object of a frame."""

    tcp: np.ndarray
    hand: np.ndarray
    """Rotation (3, 3) of the gripper frame."""
    width: float


def scene_of(frame: Frame, robot: RobotPosture, table: TablePlane | None, kinematics: ArmKinematics) -> Scene:
    """As `sight_of`."""
    sight = sight_of(frame, robot, table, kinematics)
    pose = kinematics.gripper_pose(np.asarray(robot.joint_positions, float)[None])[0]
    return Scene(**vars(sight), tcp=pose[:3], hand=rotations.to_matrix(pose[3:]), width=float(robot.gripper_width))


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


@dataclass(frozen=True)
class TrackViews:
    """One frame and the tracks in it, by name."""

    scene: Scene
    tracks: dict[str, Track]

    def holder_of(self, track: Track) -> Track | None:
        """The track of the object that this one slides in."""
        slide = track.body.shape.slide
        return None if slide is None else self.tracks[slide.within]

    def pixels(self, track: Track, rotation: np.ndarray, position: np.ndarray) -> tuple[Pixels, np.ndarray] | None:
        """The pixels about the object at a pose, and what each shows; None where the camera does not see it.

        Pixels that show a part of the object are not its own, and as long as that part is not seen, none are that it may take up.
        """
        placed, others, parts = (track.body, rotation, position), [], []
        for other in self.tracks.values():
            if self.holder_of(other) is track:
                if not other.closed:
                    possible = where_it_may_be(other.body.shape, placed, other.place)
                    parts += [other.placed] if other.seen else possible
            elif other is not track and other.seen:
                others.append(other.placed)
        return pixels_about(self.scene, placed, track.colour, others, parts)

    def along_slide(self, track: Track, holder: Placed) -> SlideView:
        """What the search for a part needs, with its holder placed so."""
        others = [o.placed for o in self.tracks.values() if o is not track and o.body is not holder[0] and o.seen]
        return SlideView(self.scene, holder, others)

    def refit(self, track: Track, position: np.ndarray) -> Fit | None:
        """The pose fitted anew from `position` [m] and the orientation so far."""
        view = self.pixels(track, track.rotation, position)
        if view is None:
            return None
        prior = track.body.prior(*REFIT_SPREAD)
        return fit(track.body, *view, track.rotation, position, REFIT_WIDTHS, prior, rests=True)

    def best_of_neighbours(self, track: Track, found: Fit) -> Fit:
        """Of a pose and those `APART` from it, each refined, the one that explains the frame best, with its lead."""
        if len(track.body.ways) == 0:
            return found
        shifts = [sign * APART * (found.rotation @ way) for way in track.body.ways for sign in (-1.0, 1.0)]
        refits = [self.refit(track, found.position + shift) for shift in shifts]
        best = max([found, *filter(None, refits)], key=lambda candidate: candidate.agreement.evidence)
        view = self.pixels(track, best.rotation, best.position)
        return best if view is None else with_lead(track.body, *view, best)
