"""Finds the gripper's pose among a recording's numbers: by the joints' kinematics, else by names.

Legend: T recorded rows.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.interface import rotations
from ocrrl.interface.rotation_forms import forms_of_width, rotation_width
from ocrrl.recordings.meaning.rotation_forms import to_quaternions
from ocrrl.recordings.suggestion.column_roles import JointsFound, joints_in
from ocrrl.recordings.suggestion.dataset_fields import (
    NO_STATE,
    Columns,
    DatasetFields,
    NumericField,
    Selection,
    is_unit,
)

STEADY = 0.02  # [m] by which a position may wander about a constant offset from where the joints bring the gripper
ONLY_YOU = "nothing tells: "
FURTHEST = 3000.0  # of a position, which may be in millimetres
_Rotation = tuple[NumericField, int, str, str]
"""Where it is, its form, and how that is known."""


@dataclass(frozen=True)
class PoseFound:
    """The gripper's pose."""

    position: Selection
    rotation: Selection
    form: str
    reason: str
    form_reason: str
    columns: Columns

    @property
    def is_form_open(self) -> bool:
        """Whether neither names nor joints tell the form: `form` is then one of several."""
        return self.form_reason.startswith(ONLY_YOU)


def joints_and_pose_in(fields: DatasetFields) -> tuple[JointsFound | None, PoseFound | None]:
    """The joints, and the gripper's pose: where joints bring it but for a constant offset, else by names, else by place."""
    candidates = list(joints_in(fields))
    for joints in candidates:
        if pose := _pose_of_joints(fields, joints):
            return joints, pose
    joints = candidates[0] if candidates else None
    taken = frozenset() if joints is None else joints.columns
    for f, start, named in sorted(_positions(fields, taken), key=lambda place: not place[2]):
        if (named or _by_place(f, taken)) and (rotation := _rotation_by_name(fields, f, start, taken)):
            reason = "by name" if named else "the first numbers, taken for the position: see that they are"
            return joints, _pose(f, start, rotation, reason)
    return joints, None


def _pose_of_joints(fields: DatasetFields, joints: JointsFound) -> PoseFound | None:
    places, joints_pose = list(_positions(fields, joints.columns)), joints.gripper_pose
    offsets = [f.values[:, start : start + 3] - joints_pose[:, :3] for f, start, _ in places]
    wander = [float(np.linalg.norm(o - np.median(o, axis=0), axis=-1).max(initial=0)) for o in offsets]
    moved = float(np.ptp(joints_pose[:, :3], axis=0).max())
    near = [n for n, w in enumerate(wander) if w < STEADY and (w < moved / 4 or np.abs(offsets[n]).max() < STEADY)]
    near.sort(key=lambda n: float(np.abs(np.median(offsets[n], axis=0)).max()) + wander[n])
    for f, start, _ in (places[n] for n in near):
        if rotation := _rotation_of_joints(fields, f, start, joints_pose, joints.columns):
            return _pose(f, start, rotation, "where the joints bring the gripper")
    return None


def _positions(fields: DatasetFields, taken: Columns) -> Iterator[tuple[NumericField, int, bool]]:
    """Three numbers in a row that can be metres, and whether they are named as a gripper's position."""
    for f in fields.numbers.values():
        if NO_STATE.search(f.key):
            continue
        for start in range(f.values.shape[1] - 2):
            free = not f.columns(start, 3) & taken
            if free and np.abs(f.values[:, start : start + 3]).max(initial=0.0) < FURTHEST:
                yield f, start, _names_position(f, start)


def _names_position(f: NumericField, start: int) -> bool:
    if f.names:
        ends = [re.split(r"[._]", f.names[start + k].lower())[-1] for k in range(3)]
        first = f.names[start].lower()
        return ends == ["x", "y", "z"] and not re.search(r"rot|quat|obj|angle|(^|[._])[rq]w?x", first)
    key = f.key.lower()
    return bool(start == 0 and re.search(r"(ee|tcp|tool|end_?effector|cartesian|gripper).*(pos|pose|xyz)", key))


def _by_place(f: NumericField, taken: Columns) -> bool:
    return f.key in ("observation.state", "state") and f.values.shape[1] in (7, 8) and not f.columns(0, 8) & taken


def _rotations(
    fields: DatasetFields, f: NumericField, start: int, taken: Columns
) -> Iterator[tuple[NumericField, int, int]]:
    """Where a rotation may be: after the position, or under a key of its own; with how many numbers it may have."""
    for width in (9, 6, 4, 3):  # the first two rows of a matrix are a rotation, too
        if start + 3 + width <= f.values.shape[1] and not f.columns(start + 3, width) & taken:
            yield f, start + 3, width
    for other in fields.numbers.values():
        size = other.values.shape[1]
        if other is not f and size in (3, 4, 6, 9) and not NO_STATE.search(other.key):
            yield other, 0, size


def _pose(f: NumericField, start: int, rotation: _Rotation, reason: str) -> PoseFound:
    other, first, form, form_reason = rotation
    width = rotation_width(form)
    columns = f.columns(start, 3) | other.columns(first, width)
    return PoseFound(f.selection(start, 3), other.selection(first, width), form, reason, form_reason, columns)


def _rotation_of_joints(
    fields: DatasetFields, f: NumericField, start: int, joints_pose: np.ndarray, taken: Columns
) -> _Rotation | None:
    """The rotation that follows the joints best, as it is or turned by a constant."""
    best, chosen = 0.2, None
    for other, first, width in _rotations(fields, f, start, taken):
        for form in forms_of_width(width):
            try:
                quaternion = to_quaternions("rotation", other.values[:, first : first + width], form)
            except EpisodeRejected:
                continue
            relative = rotations.multiply(rotations.conjugate(joints_pose[:, 3:]), quaternion)
            for turned, error in enumerate(
                (
                    rotations.angle_between(quaternion, joints_pose[:, 3:]),
                    rotations.angle_between(relative, relative[:1]),
                )
            ):
                score = float(np.quantile(error, 0.9)) + 0.05 * turned
                if score < best - 1e-4:
                    best, chosen = score, (other, first, form, "follows the joints")
    return chosen


def _rotation_by_name(fields: DatasetFields, f: NumericField, start: int, taken: Columns) -> _Rotation | None:
    for other, first, width in _rotations(fields, f, start, taken):
        values, name = other.values[:, first : first + width], other.name_of(first).lower()
        if other is not f and not re.search(r"quat|rot|orn|orient|axis|rpy|euler|6d", name):
            continue
        if width == 4 and is_unit(values):
            names = [other.name_of(first + k).lower() for k in range(4)]
            if names[0][-1:] == "w" or names[3][-1:] == "w":
                return other, first, f"quaternion_{'wxyz' if names[0][-1:] == 'w' else 'xyzw'}", "by name"
            return other, first, "quaternion_xyzw", f"{ONLY_YOU}quaternion_xyzw or quaternion_wxyz"
        if width == 3 and np.abs(values).max(initial=0.0) <= 4 * np.pi:
            if re.search(r"roll|rpy|euler|pitch", name):
                return other, first, "euler_xyz", "by name: see the order"
            if re.search(r"yaw", name):
                return other, first, "euler_ZYX", "by name: see the order"
            if other.names or re.search(r"axis|rot_?vec|rvec", name):
                return other, first, "rotation_vector", "the usual form: see it"
            return other, first, "rotation_vector", f"{ONLY_YOU}rotation_vector (as LIBERO), euler_xyz (as DROID), ..."
        if width == 6 and re.search(r"6d|rot", name):
            return other, first, "rotation_6d", "six numbers: see that they are columns"
    return None
