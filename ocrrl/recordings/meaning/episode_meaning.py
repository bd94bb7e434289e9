"""Makes an episode from a recording's numbers, field by field, by a mapping.

Legend: T recorded rows of an episode, F images of a camera (they may disagree until that is checked); poses
(T, 7) are position [m] and wxyz quaternion, robot base frame.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from ocrrl.episodes.episode_checks import MAX_WIDTH, EpisodeRejected, EpisodeRequirements, check_episode, check_finite
from ocrrl.episodes.image_checks import check_images
from ocrrl.episodes.motion_checks import check_speeds
from ocrrl.episodes.pose_agreement import apart, inverse, mean_rotation, product
from ocrrl.episodes.source_episode import Reading
from ocrrl.interface.actions import CONTROL_HZ, ROTATION_LEASH
from ocrrl.interface.episode import EpisodeAttributes
from ocrrl.interface.rotation_forms import rotation_width
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.printable import one_line
from ocrrl.recordings.meaning.field_selection import select
from ocrrl.recordings.meaning.foreign_mapping import ForeignMapping
from ocrrl.recordings.meaning.foreign_rows import ForeignRows, episode_from_rows
from ocrrl.recordings.meaning.gripper_command import commanded_opening
from ocrrl.recordings.meaning.kinematic_witness import hold_to_joints, poses_of_joints
from ocrrl.recordings.meaning.pose_explanations import Recorded
from ocrrl.recordings.meaning.rotation_forms import PoseDeclaration
from ocrrl.recordings.meaning.transform_words import describe_turn, is_neat, rounded, tool_line

ABSOLUTE = 0.05
"""[m] within which `steps` that lie so near the recorded positions are poses."""
_SNAP = np.radians(10.0)  # commands run ahead of the measured pose
_LONGEST_SHOWN = 80  # characters of an instruction


@dataclass(frozen=True)
class RawEpisode:
    """The rows of one episode, in order, at the recording's own rate."""

    columns: dict[str, Float[np.ndarray, "T d"]]
    """Every feature that the mapping names, by its key."""
    names: dict[str, list[str]]
    """The names of each feature's numbers, where the dataset gives them."""
    images: dict[str, UInt8[np.ndarray, "F h w 3"]]
    """RGB by OUR camera name, brought to the size that was asked for as they were decoded."""
    instruction: str | None
    """None where the dataset has none."""
    fps: float
    notes: tuple[str, ...] = ()
    """What was done in reading it that a person should know."""


def checked_reading(
    raw: RawEpisode,
    task: TabletopTask,
    mapping: ForeignMapping,
    expected: EpisodeRequirements,
    success: bool | None = None,
) -> Reading:
    """As `reading_of`, its numbers and images checked; raises `EpisodeRejected`."""
    reading = reading_of(raw, task, mapping, success)
    check_episode(reading.episode, expected)
    notes = check_images(reading.episode.images, reading.episode.gripper_pose, expected.still_cameras)
    return Reading(reading.episode, tuple(dict.fromkeys((*reading.notes, *notes))))


def reading_of(raw: RawEpisode, task: TabletopTask, mapping: ForeignMapping, success: bool | None = None) -> Reading:
    """The episode that `mapping` finds in `raw`; raises `EpisodeRejected`.

    `success` is what the format itself says; a `success` selection of the mapping goes before it, and without either an
    episode is one.
    """
    numbers = _Numbers(raw, mapping)
    numbers.check_lengths()
    declared = mapping.pose_declaration()
    gripper_pose, notes = _gripper_pose(numbers, raw.fps)
    width = measured_width(numbers.of("gripper_width"), mapping.gripper_width_scale, mapping.gripper_width_at_zero)
    command = numbers.of("gripper_command", 1)[:, 0]
    opening, gripper_notes = commanded_opening(command, width, mapping.gripper_declaration(), raw.fps)
    object_form = mapping.object_rotation_form or declared.rotation_form
    object_poses = {
        name: declared.object_poses(
            name, numbers.of(f"object_poses.{name}", 3 + rotation_width(object_form)), object_form
        )
        for name in mapping.object_poses
    }
    if mapping.success is not None:
        success = bool(numbers.of("success", 1)[-1, 0] > 0)
    instruction, instruction_notes = _instruction(mapping.instruction, raw.instruction, task)
    joints = numbers.of("joint_positions", 7) if mapping.joint_positions is not None else np.zeros((len(command), 7))
    rows = ForeignRows(
        images=raw.images,
        gripper_pose=gripper_pose,
        joint_positions=mapping.joint_scale * joints,
        gripper_width=width,
        object_poses=object_poses,
        opening=opening,
        steps=_steps(numbers, raw.fps),
        targets=_targets(numbers, gripper_pose),
        recorded_hz=raw.fps,
    )
    attributes = EpisodeAttributes(
        tabletop_task=task.slug,
        instruction=instruction,
        operator=mapping.operator,
        cell=mapping.cell,
        success=True if success is None else success,
    )
    episode, action_notes = episode_from_rows(rows, task, attributes)
    if mapping.object_poses:
        check_speeds(episode)
    return Reading(episode, (*raw.notes, *notes, *gripper_notes, *instruction_notes, *action_notes))


class _Numbers:
    """The columns that a mapping selects."""

    def __init__(self, raw: RawEpisode, mapping: ForeignMapping) -> None:
        self.raw, self.mapping = raw, mapping
        self._selections = mapping.selections()

    def of(self, name: str, size: int | tuple[int, ...] | None = None) -> np.ndarray:
        """The numbers (T, n) of the field `name`, n being `size`."""
        return select(name, self._selections[name], self._read, size, self.raw.names)

    def check_lengths(self) -> None:
        """All fields and images must have as many rows as the gripper's command."""
        counts = {name: len(self.of(name)) for name in self._selections if name != "success"}
        rows = counts["gripper_command"]
        if rows == 0:
            raise EpisodeRejected("actions", "at least one step", "zero steps (a zero-length episode)")
        counts |= {f"images.{camera}": len(frames) for camera, frames in self.raw.images.items()}
        for name, count in counts.items():
            if count != rows:
                raise EpisodeRejected(name, f"{rows} rows, one an action", f"{count}")

    def _read(self, key: str) -> np.ndarray:
        if key not in self.raw.columns:
            raise EpisodeRejected(key, f"one of {', '.join(sorted(self.raw.columns))}", "nothing of that name")
        return self.raw.columns[key]


def _gripper_pose(numbers: _Numbers, hz: float) -> tuple[np.ndarray, tuple[str, ...]]:
    """The measured poses (T, 7), held to the joints, or following from them."""
    mapping = numbers.mapping
    joints = numbers.of("joint_positions", 7) if mapping.joint_positions is not None else None
    if mapping.position is None:
        assert joints is not None
        return poses_of_joints(joints, mapping.joint_scale), ("gripper_pose: by forward kinematics of an FR3's joints",)
    declared = mapping.pose_declaration()
    position = numbers.of("position", 3)
    check_finite("gripper_pose", position)
    rotation = numbers.of("rotation", rotation_width(declared.rotation_form))
    poses = declared.gripper_poses(position, rotation)
    if joints is None:
        return poses, ()
    recorded = Recorded(
        position, rotation, joints, declared, mapping.joint_scale, mapping.rotation_line, mapping.joint_line
    )
    return poses, hold_to_joints(recorded, hz, replayed=bool(mapping.object_poses))


def _steps(numbers: _Numbers, hz: float) -> np.ndarray | None:
    """The steps (T, 6) of `actions: deltas`, or None."""
    mapping = numbers.mapping
    if mapping.actions != "deltas":
        return None
    if hz != CONTROL_HZ:
        raise EpisodeRejected("fps", f"{CONTROL_HZ} for actions: deltas (or use from_poses)", f"{hz:g}")
    steps = numbers.of("steps", 6)
    if mapping.position is not None:
        position = numbers.of("position", 3)
        apart = np.linalg.norm(steps[:, :3] - position, axis=-1)
        if np.median(apart) < ABSOLUTE < np.median(np.linalg.norm(position, axis=-1)) / 3:
            raise EpisodeRejected(
                "steps",
                "motion from one row to the next for actions: deltas",
                "absolute poses, all near the recorded positions (control_delta false? then actions: poses or from_poses)",
            )
    return mapping.scaled_steps(steps)


def _targets(numbers: _Numbers, measured: np.ndarray) -> np.ndarray | None:
    """The commanded poses (T, 7) of `actions: poses` and `joint_positions`, or None."""
    mapping = numbers.mapping
    if mapping.actions == "joint_positions":
        return poses_of_joints(numbers.of("joint_command", 7), mapping.joint_scale, "joint_command")
    if mapping.actions == "poses":
        declared = mapping.command_declaration()
        rotation = numbers.of("command_rotation", rotation_width(declared.rotation_form))
        return _commanded_poses(numbers.of("command_position", 3), rotation, declared, measured)
    return None


def _commanded_poses(
    position: Float[np.ndarray, "T 3"],
    rotation: Float[np.ndarray, "T n"],
    declared: PoseDeclaration,
    measured: Float[np.ndarray, "T 7"],
) -> Float[np.ndarray, "T 7"]:
    """The commanded poses as `declared`.

    Raises `EpisodeRejected` where they are turned away from the measured ones throughout, with the line that would say so.
    """
    targets = declared.gripper_poses(position, rotation, "command_position")
    if apart(targets, measured).rotation > ROTATION_LEASH:
        turn = mean_rotation(product(inverse(measured), targets)[:, 3:])
        offset = rounded(np.concatenate([np.zeros(3), turn]), snap_turn=_SNAP)
        if is_neat(offset) and apart(targets, product(measured, offset)).rotation <= ROTATION_LEASH:
            whole = product(offset, np.array(declared.tool_in_gripper))
            raise EpisodeRejected(
                "command_rotation",
                "the measured gripper's, but for the motion",
                f"one that is {describe_turn(offset)} throughout; add to the mapping: command_{tool_line(whole)}",
            )
    return targets


def _instruction(declared: str | None, recorded: str | None, task: TabletopTask) -> tuple[str, tuple[str, ...]]:
    """The instruction `declared` by the mapping, or the tabletop task's own; with a note where `recorded` is another.

    A VLA that was trained on other words than it is asked with later is asked a question that it never heard.
    """
    if declared is not None:
        return declared, ()
    recorded = recorded or ""
    one, other = (" ".join(words.lower().split()).rstrip(".!") for words in (recorded, task.instruction))
    if not recorded.strip() or one == other:  # but for capitals, spaces and a full stop
        return task.instruction, ()
    return task.instruction, (
        f"instruction: the dataset says {_quoted(recorded)}, taken as {_quoted(task.instruction)};"
        " mapping.instruction keeps another",
    )


def _quoted(text: str) -> str:
    shown = one_line(text)
    return f'"{shown if len(shown) <= _LONGEST_SHOWN else shown[: _LONGEST_SHOWN - 3] + "..."}"'


def measured_width(values: Float[np.ndarray, "T n"], scale: float, at_zero: float) -> Float[np.ndarray, " T"]:
    """The width [m] of one number a row, or of two fingers' positions, whose distance it is; raises `EpisodeRejected`."""
    if values.shape[1] not in (1, 2):
        raise EpisodeRejected("gripper_width", "1 number, or 2 fingers' positions", f"{values.shape[1]}")
    raw = values[:, 0] if values.shape[1] == 1 else np.abs(values).sum(axis=-1)
    width = at_zero + scale * raw
    check_finite("gripper_width", width)
    low, high = float(width.min(initial=0.0)), float(width.max(initial=0.0))
    if low < -0.01 or high > MAX_WIDTH:
        got = high if high > MAX_WIDTH else low
        raise EpisodeRejected("gripper_width", f"in metres, in [-0.01, {MAX_WIDTH:.2f}]", f"{got:g}{_width_hint(raw)}")
    return width


def _width_hint(raw: np.ndarray) -> str:
    low, high = float(raw.min()), float(raw.max())
    if low < -1e-6:
        return " (0 open and below when closed? then gripper_width_at_zero: 0.08)" if high < 0.01 else ""
    for top, name, scale in ((1.02, "0..1", 0.08), (100.0, "millimetres", 0.001), (255.0, "0..255", 0.08 / 255)):
        if high <= top:
            return f" ({name}? then gripper_width_scale: {scale:.5g})"
    return ""
