"""A LeRobotDataset v3, such as `lerobot-record` writes, to episodes, by a declared mapping of keys.

Legend: T steps of an episode.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from ocrrl.datasets.decoded_frames import DecodedDataset, count_episodes, decode_dataset
from ocrrl.datasets.episode import Episode, EpisodeAttributes
from ocrrl.datasets.episode_checks import EpisodeRejected, EpisodeRequirements, check_episode
from ocrrl.datasets.field_selection import Selection, check_selection, select
from ocrrl.datasets.foreign_rows import ACTION_SOURCES, ForeignRows, episode_from_rows, from_mapping
from ocrrl.datasets.source_episode import SourceEpisode, refused
from ocrrl.datasets.validation import CAMERA_NAME, check_location
from ocrrl.interface import rotations
from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.interface.tabletop_tasks import TabletopTask

ROTATION_FORMS = {"quaternion_wxyz": 4, "quaternion_xyzw": 4, "rotation_vector": 3}


@dataclass(frozen=True)
class LeRobotMapping:
    """Which of the dataset's numbers is what. Selections are `key`, `key[0:3]`, `key[name,name]` or a list of those.

    Poses are in the robot's base frame, positions in metres.
    """

    cell: str
    """The hardware that recorded it; cells are never mixed unless told to."""
    images: Mapping[str, str]
    """Camera name to feature, such as `{front: observation.images.front}`."""
    position: Selection
    rotation: Selection
    gripper_width: Selection
    gripper_command: Selection
    """The commanded opening, mapped to [0, 1] by `gripper_closed` and `gripper_open`."""
    rotation_form: str = "rotation_vector"
    gripper_width_scale: float = 1.0
    """Metres that one unit of `gripper_width` stands for."""
    gripper_closed: float = 0.0
    gripper_open: float = 1.0
    joint_positions: Selection | None = None
    """[rad]; replay needs it, so `object_poses` does too."""
    object_poses: Mapping[str, Selection] = field(default_factory=dict)
    """Object name to position and rotation in `rotation_form`; none: not for replay."""
    actions: str = "from_poses"
    """`from_poses`: the step from each measured pose to the next; `deltas`: `steps` is used as it is."""
    steps: Selection | None = None
    """For `deltas`: translation [m] and rotation vector [rad] of each step, 6 numbers."""
    success: Selection | None = None
    """A label above 0 at the last step means success; None: every episode is one."""
    operator: str = "lerobot-record"
    instruction: str | None = None
    """None: the dataset's own."""

    def __post_init__(self) -> None:
        if not self.images or not all(CAMERA_NAME.fullmatch(camera) for camera in self.images):
            raise ValueError(f"images must map camera names (a-z, 0-9, _) to features, got {dict(self.images)!r}")
        for name in ("position", "rotation", "gripper_width", "gripper_command", "joint_positions", "steps", "success"):
            if getattr(self, name) is not None:
                check_selection(name, getattr(self, name))
        for name, selection in self.object_poses.items():
            check_selection(f"object_poses.{name}", selection)
        if self.rotation_form not in ROTATION_FORMS:
            raise ValueError(f"rotation_form must be one of {', '.join(ROTATION_FORMS)}, got {self.rotation_form!r}")
        if self.actions not in ACTION_SOURCES:
            raise ValueError(f"actions must be one of {', '.join(ACTION_SOURCES)}, got {self.actions!r}")
        if (self.actions == "deltas") != (self.steps is not None):
            raise ValueError(f"steps must be declared for actions: deltas and only then, got {self.steps!r}")
        if self.object_poses and self.joint_positions is None:
            raise ValueError("joint_positions must be declared where object_poses is, got None")
        if self.gripper_open == self.gripper_closed:
            raise ValueError(f"gripper_open must differ from gripper_closed, got {self.gripper_open} for both")
        if not self.gripper_width_scale > 0:
            raise ValueError(f"gripper_width_scale must be above 0, got {self.gripper_width_scale}")

    @classmethod
    def from_params(cls, mapping: Mapping[str, object]) -> "LeRobotMapping":
        """From the `mapping` section of params.yaml; ValueError names unknown and missing keys."""
        return from_mapping(cls, mapping)


def lerobot_episodes(folder: Path, task: TabletopTask, mapping: LeRobotMapping) -> Iterator[SourceEpisode]:
    """Every episode of the dataset at `folder`, or of the datasets in the folders below it, in order."""
    roots = sorted(info.parent.parent for info in folder.glob("**/meta/info.json"))
    for root in roots:
        name = root.relative_to(folder).as_posix() if root != folder else folder.name
        try:
            for path in sorted((*root.glob("meta/**/*"), *root.glob("data/**/*"), *root.glob("videos/**/*"))):
                if path.is_symlink() or path.is_file():
                    check_location(path, folder)
            with _named_faults():
                count = count_episodes(root)
        except EpisodeRejected as reason:
            yield refused(name, root / "meta/info.json", reason)
            continue
        for number in range(count):
            source = f"{name.replace('/', '__')}-episode_{number:06d}.h5"
            load = partial(_load, root, number, task, mapping)
            yield SourceEpisode(source, f"{name}:{number}", root / "meta/info.json", load)


def _load(
    root: Path, number: int, task: TabletopTask, mapping: LeRobotMapping, expected: EpisodeRequirements
) -> Episode:
    with _named_faults():
        dataset = decode_dataset(root, [number])
    if mapping.actions == "deltas" and dataset.fps != CONTROL_HZ:
        raise EpisodeRejected("fps", f"{CONTROL_HZ} for actions: deltas (or use from_poses)", f"{dataset.fps:g}")
    episode = _to_episode(dataset, task, mapping)
    check_episode(episode, expected)
    return episode


@contextmanager
def _named_faults() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise EpisodeRejected("dataset", "a readable LeRobotDataset v3", f"{type(error).__name__}: {error}") from error


def _to_episode(dataset: DecodedDataset, task: TabletopTask, mapping: LeRobotMapping) -> Episode:
    columns = {"observation.state": dataset.state, "action": dataset.action} | dataset.columns

    def read(key: str) -> np.ndarray:
        if key not in columns:
            raise EpisodeRejected(key, f"one of {', '.join(sorted(columns))}", "nothing of that name")
        return columns[key]

    def chosen(name: str, selection: Selection, size: int | None = None) -> np.ndarray:
        return select(name, selection, read, size, dataset.names)

    width = ROTATION_FORMS[mapping.rotation_form]
    position, rotation = chosen("position", mapping.position, 3), chosen("rotation", mapping.rotation, width)
    command = chosen("gripper_command", mapping.gripper_command, 1)[:, 0]
    opening = (command - mapping.gripper_closed) / (mapping.gripper_open - mapping.gripper_closed)
    joints = mapping.joint_positions
    attributes = EpisodeAttributes(
        tabletop_task=task.slug,
        instruction=mapping.instruction or dataset.tasks[0],
        operator=mapping.operator,
        cell=mapping.cell,
        success=mapping.success is None or bool(chosen("success", mapping.success, 1)[-1, 0] > 0),
    )
    return episode_from_rows(
        ForeignRows(
            images={camera: _frames(dataset, camera, key) for camera, key in mapping.images.items()},
            gripper_pose=_poses(position, rotation, mapping.rotation_form),
            joint_positions=np.zeros((len(position), 7)) if joints is None else chosen("joint_positions", joints, 7),
            gripper_width=mapping.gripper_width_scale * chosen("gripper_width", mapping.gripper_width, 1)[:, 0],
            object_poses={
                name: _poses(values[:, :3], values[:, 3:], mapping.rotation_form)
                for name, values in (
                    (name, chosen(f"object_poses.{name}", selection, 3 + width))
                    for name, selection in mapping.object_poses.items()
                )
            },
            opening=np.clip(opening, 0.0, 1.0),
            steps=chosen("steps", mapping.steps, 6) if mapping.steps is not None else None,
            recorded_hz=float(dataset.fps),
        ),
        task,
        attributes,
    )


def _frames(dataset: DecodedDataset, camera: str, key: str) -> np.ndarray:
    name = key.removeprefix("observation.images.")
    if name not in dataset.images:
        raise EpisodeRejected(f"images.{camera}", f"one of {', '.join(sorted(dataset.images))}", key)
    return dataset.images[name][:]


def _poses(position: np.ndarray, rotation: np.ndarray, form: str) -> np.ndarray:
    """Positions (T, 3) and rotations (T, 3 or 4) in `form` as poses (T, 7)."""
    if form == "rotation_vector":
        rotation = rotations.from_rotation_vector(rotation)
    elif form == "quaternion_xyzw":
        rotation = np.roll(rotation, 1, axis=-1)
    return np.concatenate([position, rotation], axis=-1)
