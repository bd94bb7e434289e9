"""The episode: one recording of a tabletop task, the same for teleoperation, simulation and rollouts.

Legend: T control steps, O tracked objects, H x W pixels. Every row is what was observed BEFORE the action of that row.
Poses are position [m] then wxyz unit quaternion, robot base frame.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, UInt8

from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.interface.observations import Observation

FORMAT_VERSION = 1


@dataclass(frozen=True)
class EpisodeAttributes:
    """What holds for the whole episode."""

    tabletop_task: str
    """The task's slug, such as `cube_lift`."""
    instruction: str
    operator: str
    """Who or what acted: a person's name, `scripted`, `policy`."""
    cell: str
    """Where: `sim`, `twin`, or the hardware cell's name."""
    success: bool
    control_hz: float = float(CONTROL_HZ)
    seed: int | None = None
    """The seed of the initial state, where there is one."""
    calibration: dict = field(default_factory=dict)
    """Camera intrinsics, extrinsics and the like; JSON values only."""
    versions: dict[str, str] = field(default_factory=dict)
    """Versions of the software that recorded it."""
    object_names: tuple[str, ...] = ()
    """The tracked objects in the order of `object_poses`; empty where no poses were recorded."""
    format_version: int = FORMAT_VERSION
    plan: str | None = None
    """SHA-256 of the plan of an evaluation until decided; None where the episode has no plan."""

    def shown(self) -> dict[str, object]:
        """By name, what viewers show: all but an absent plan."""
        return {name: value for name, value in vars(self).items() if name != "plan" or value is not None}


@dataclass(kw_only=True)
class Episode:
    """An episode's T rows and its attributes."""

    attributes: EpisodeAttributes
    images: dict[str, UInt8[np.ndarray, "T H W 3"]]
    """RGB by camera name."""
    gripper_pose: Float[np.ndarray, "T 7"]
    """Measured."""
    commanded_pose: Float[np.ndarray, "T 7"]
    joint_positions: Float[np.ndarray, "T 7"]
    """[rad]"""
    gripper_width: Float[np.ndarray, " T"]
    """[m]"""
    action: Float[np.ndarray, "T 7"]
    """The applied action, in the units of `ocrrl.interface.actions`: what a cell's limits left of the one asked for.

    It takes the row's commanded pose to the next row's, but for a row in which a cell refused the command: there it is
    no motion, and the next row's commanded pose is where the arm then held.
    """
    timestamps: Float[np.ndarray, " T"]
    """Seconds from the first row."""
    object_poses: Float[np.ndarray, "T O 7"] | None = None
    """None where nothing tracked the objects: such an episode trains a VLA and cannot be replayed."""
    object_confidence: Float[np.ndarray, "T O"] | None = None
    """In [0, 1], the tracker's own."""
    object_visible: Float[np.ndarray, "T O"] | None = None
    """1 where a gate on poses showed the policies the object, 0 where it did not; None where there was no such gate."""
    base_action: Float[np.ndarray, "T 7"] | None = None
    """What a rollout's base policy asked for."""
    residual: Float[np.ndarray, "T 7"] | None = None
    """The correction that was asked for; zero where only the base acted."""
    intervention: Float[np.ndarray, " T"] | None = None
    """1 where a person acted in the policies' place, 0 where not; None where nobody stepped in.

    In their rows `base_action` is what they asked for, and `residual` is zero.
    """
    handed_over: Float[np.ndarray, " T"] | None = None
    """1 where base + residual acted, 0 where the base alone did, before; None where one of the two acted throughout."""
    label: Float[np.ndarray, "T 7"] | None = None
    """What base + residual would have done in the row's state, where the base acted alone: what a VLA is to learn there."""

    def __len__(self) -> int:
        return len(self.action)

    def interventions(self) -> tuple[tuple[int, int], ...]:
        """The rows in which a person acted, as pairs of the first and the one after the last."""
        return _spans(self.intervention)

    def recoveries(self) -> tuple[tuple[int, int], ...]:
        """The rows in which base + residual acted after the base had begun alone, as pairs likewise."""
        return _spans(self.handed_over)

    def observation(self) -> Observation:
        """All T rows as one `Observation` (N = T).

        Without recorded poses there are no objects in it (O = 0).
        """
        rows = len(self)
        poses = np.zeros((rows, 0, 7)) if self.object_poses is None else self.object_poses
        confidence = np.zeros((rows, 0)) if self.object_confidence is None else self.object_confidence
        return Observation(
            object_visible=None if self.object_visible is None else self.object_visible > 0,
            gripper_pose=self.gripper_pose,
            commanded_pose=self.commanded_pose,
            joint_positions=self.joint_positions,
            gripper_width=self.gripper_width,
            object_poses=poses,
            object_confidence=confidence,
        )


def _spans(marks: Float[np.ndarray, " T"] | None) -> tuple[tuple[int, int], ...]:
    """Where `marks` are above 0, as pairs of the first row and the one after the last."""
    acted = np.zeros(0) if marks is None else marks
    edges = np.flatnonzero(np.diff(acted > 0, prepend=False, append=False)).tolist()
    return tuple(zip(edges[::2], edges[1::2], strict=True))
