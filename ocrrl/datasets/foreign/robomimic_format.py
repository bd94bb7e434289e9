"""robomimic's HDF5 (`data/demo_<i>/obs/<key>`, `actions`) to episodes, by a declared mapping of keys.

Legend: T steps. robosuite gives poses in its world frame, quaternions as xyzw, gripper commands -1 open to +1 closed.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from ocrrl.datasets.episode import Episode, EpisodeAttributes
from ocrrl.datasets.episode_checks import EpisodeRejected, EpisodeRequirements, check_episode
from ocrrl.datasets.episode_store import episode_paths
from ocrrl.datasets.foreign.field_selection import Selection, check_selection, select
from ocrrl.datasets.foreign.foreign_rows import ACTION_SOURCES, ForeignRows, check_pose, episode_from_rows, from_mapping
from ocrrl.datasets.foreign.source_episode import Reading, SourceEpisode, refused
from ocrrl.datasets.hdf5_access import array_at, group_at, open_hdf5
from ocrrl.datasets.validation import CAMERA_NAME, check_location
from ocrrl.interface import rotations
from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.interface.tabletop_tasks import TabletopTask

QUATERNION_ORDERS = ("xyzw", "wxyz")


@dataclass(frozen=True)
class RobomimicMapping:
    """Which of robomimic's keys (under `obs/`) is what. Selections are `key`, `key[0:3]` or a list of those."""

    cell: str
    """The name under which these recordings are kept apart from others, such as `robosuite`."""
    images: Mapping[str, str]
    """Camera name to key."""
    position: Selection = "robot0_eef_pos"
    quaternion: Selection = "robot0_eef_quat"
    quaternion_order: str = "xyzw"
    joint_positions: Selection = "robot0_joint_pos"
    gripper_width: Selection = "robot0_gripper_qpos"
    """One number [m], or two fingers' positions, whose distance it then is."""
    object_poses: Mapping[str, Selection] = field(default_factory=dict)
    """Object name to position and quaternion (7 numbers), such as `object[0:7]`; none: not for replay."""
    actions: str = "from_poses"
    """`from_poses`: the step from each measured pose to the next; `deltas`: `actions` times `action_scale`."""
    action_scale: tuple[float, ...] = (0.05, 0.05, 0.05, 0.5, 0.5, 0.5)
    """The controller's output_max: metres and radians that an action of 1 stands for."""
    control_hz: float = float(CONTROL_HZ)
    base_pose: tuple[float, ...] = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
    """Of the robot's base in the recording's world frame, metres and wxyz."""
    gripper_rotation: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0)
    """wxyz, from the recording's gripper frame to ours (fingers along z, closing along y)."""
    operator: str = "robomimic"
    instruction: str | None = None
    """None: the tabletop task's."""

    def __post_init__(self) -> None:
        if not self.images or not all(CAMERA_NAME.fullmatch(camera) for camera in self.images):
            raise ValueError(f"images must map camera names (a-z, 0-9, _) to keys, got {dict(self.images)!r}")
        for name in ("position", "quaternion", "joint_positions", "gripper_width"):
            check_selection(name, getattr(self, name))
        for name, selection in self.object_poses.items():
            check_selection(f"object_poses.{name}", selection)
        if self.quaternion_order not in QUATERNION_ORDERS:
            raise ValueError(
                f"quaternion_order must be one of {', '.join(QUATERNION_ORDERS)}, got {self.quaternion_order!r}"
            )
        if self.actions not in ACTION_SOURCES:
            raise ValueError(f"actions must be one of {', '.join(ACTION_SOURCES)}, got {self.actions!r}")
        if len(self.action_scale) != 6 or not all(scale > 0 for scale in self.action_scale):
            raise ValueError(f"action_scale must be 6 numbers above 0, got {self.action_scale}")
        if not self.control_hz > 0:
            raise ValueError(f"control_hz must be above 0, got {self.control_hz}")
        if self.actions == "deltas" and self.control_hz != CONTROL_HZ:
            raise ValueError(
                f"control_hz must be {CONTROL_HZ} for actions: deltas (or use from_poses), got {self.control_hz}"
            )
        check_pose("base_pose", self.base_pose)
        check_pose("gripper_rotation", (0.0, 0.0, 0.0, *self.gripper_rotation))

    @classmethod
    def from_params(cls, mapping: Mapping[str, object]) -> "RobomimicMapping":
        """From the `mapping` section of params.yaml; ValueError names unknown and missing keys."""
        return from_mapping(cls, mapping)


def robomimic_episodes(folder: Path, task: TabletopTask, mapping: RobomimicMapping) -> Iterator[SourceEpisode]:
    """Every demonstration of every HDF5 file under `folder`, in the order of file name and number."""
    for path in episode_paths(folder):
        name = path.relative_to(folder).as_posix()
        try:
            check_location(path, folder)
            with open_hdf5(path) as file:
                demos = sorted((str(demo) for demo in group_at(file, "data")), key=lambda demo: (len(demo), demo))
                if not demos:
                    raise EpisodeRejected("data", "at least one demonstration", "none")
        except EpisodeRejected as reason:
            yield refused(name, path, reason)
            continue
        stem = re.sub(r"[^A-Za-z0-9_.-]", "_", name.rsplit(".", 1)[0].replace("/", "__"))
        for demo in demos:
            source = f"{stem}-{re.sub(r'[^A-Za-z0-9_-]', '_', demo)}.h5"
            yield SourceEpisode(source, f"{name}:{demo}", path, _loader(path, demo, task, mapping))


def _loader(
    path: Path, demo: str, task: TabletopTask, mapping: RobomimicMapping
) -> Callable[[EpisodeRequirements], Reading]:
    def load(expected: EpisodeRequirements) -> Reading:
        with open_hdf5(path) as file:
            episode = _read_demo(group_at(file, f"data/{demo}"), task, mapping)
        check_episode(episode, expected)
        return Reading(episode)

    return load


def _read_demo(demo: h5py.Group, task: TabletopTask, mapping: RobomimicMapping) -> Episode:
    def read(key: str) -> np.ndarray:
        return array_at(demo, f"obs/{key}")

    def poses(field_name: str, position_and_quaternion: np.ndarray) -> np.ndarray:
        quaternion = position_and_quaternion[:, 3:]
        if mapping.quaternion_order == "xyzw":
            quaternion = np.roll(quaternion, 1, axis=-1)
        return _in_base(
            np.concatenate([position_and_quaternion[:, :3], quaternion], axis=-1), np.array(mapping.base_pose)
        )

    actions = array_at(demo, "actions").astype(np.float64)
    if actions.ndim != 2 or actions.shape[1] != 7:
        raise EpisodeRejected("actions", "of shape (T, 7)", f"{actions.shape}")
    gripper = np.concatenate(
        [select("position", mapping.position, read, 3), select("quaternion", mapping.quaternion, read, 4)], axis=-1
    )
    gripper_pose = poses("gripper_pose", gripper)
    gripper_pose[:, 3:] = rotations.multiply(gripper_pose[:, 3:], np.array(mapping.gripper_rotation))
    fingers = select("gripper_width", mapping.gripper_width, read)
    return episode_from_rows(
        ForeignRows(
            images={camera: read(key) for camera, key in mapping.images.items()},
            gripper_pose=gripper_pose,
            joint_positions=select("joint_positions", mapping.joint_positions, read, 7),
            gripper_width=fingers[:, 0] if fingers.shape[1] == 1 else np.abs(fingers).sum(axis=-1),
            object_poses={
                name: poses(name, select(f"object_poses.{name}", selection, read, 7))
                for name, selection in mapping.object_poses.items()
            },
            opening=0.5 * (1.0 - np.clip(actions[:, 6], -1.0, 1.0)),
            steps=actions[:, :6] * np.array(mapping.action_scale) if mapping.actions == "deltas" else None,
            recorded_hz=mapping.control_hz,
        ),
        task,
        EpisodeAttributes(
            tabletop_task=task.slug,
            instruction=mapping.instruction or task.instruction,
            operator=mapping.operator,
            cell=mapping.cell,
            success=True,
        ),
    )


def _in_base(poses: np.ndarray, base: np.ndarray) -> np.ndarray:
    """World poses (T, 7) in the frame of the robot's base, whose world pose is `base` (7,)."""
    to_base = np.broadcast_to(rotations.conjugate(base[3:]), (len(poses), 4))
    position = rotations.rotate(to_base, poses[:, :3] - base[:3])
    return np.concatenate([position, rotations.multiply(to_base, poses[:, 3:])], axis=-1)
