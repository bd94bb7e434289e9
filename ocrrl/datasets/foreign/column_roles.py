"""Which of a recording's numbers are joints, a pose, a gripper: by ranges and kinematics, and by names where those are silent.

Legend: T recorded rows.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ocrrl.datasets.episode_checks import EpisodeRejected
from ocrrl.datasets.foreign.dataset_fields import DatasetFields, NumericField
from ocrrl.datasets.foreign.kinematic_witness import poses_of_joints
from ocrrl.datasets.foreign.rotation_forms import forms_of_width, rotation_width, to_quaternions
from ocrrl.interface import rotations

Selection = str | list[str]
Columns = frozenset[tuple[str, int]]
"""Key and number of each that has a role."""
IN_DEGREES = 0.01745329
STEADY = 0.02  # [m] by which a position may wander about a constant offset from where the joints bring the gripper
_NO_STATE = re.compile(r"vel|torque|effort|force|current|accel|target|desired|goal", re.IGNORECASE)
_JOINT = re.compile(r"joint|(^|[._])(q|j)_?\d$", re.IGNORECASE)
_GRIPPER = re.compile(r"grip|finger|width|jaw|opening", re.IGNORECASE)
_RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 100.0), (0.0, 255.0))
_WRITTEN = "an FR3's limits hold for them"
_Rotation = tuple[NumericField, int, str, str]
"""Where it is, its form, and how that is known."""


@dataclass(frozen=True)
class JointsFound:
    """Seven joints of an FR3."""

    selection: Selection
    scale: float
    gripper_pose: Float[np.ndarray, "T 7"]
    """That follows from them."""
    reason: str
    columns: Columns


@dataclass(frozen=True)
class PoseFound:
    """The gripper's pose."""

    position: Selection
    rotation: Selection
    form: str
    reason: str
    form_reason: str
    columns: Columns


@dataclass(frozen=True)
class WidthFound:
    """The fingers' distance."""

    selection: Selection
    values: Float[np.ndarray, " T"]
    scale: float
    reason: str
    scale_reason: str


@dataclass(frozen=True)
class CommandFound:
    """What was asked of the fingers; `ends` are the numbers for closed and open."""

    selection: Selection
    ends: tuple[float, float]
    reason: str
    ends_reason: str


def joints_in(fields: DatasetFields) -> JointsFound | None:
    """The first seven numbers in a row that can be an FR3's joints; those named as joints go first."""
    windows = [(f, start) for f in fields.numbers.values() for start in range(f.values.shape[1] - 6)]
    windows = [(f, start) for f, start in windows if not _NO_STATE.search(_name(f, start))]
    for named in (True, False):
        for f, start in windows:
            if bool(_JOINT.search(_name(f, start))) != named:
                continue
            for scale in (1.0, IN_DEGREES):
                try:
                    poses = poses_of_joints(f.values[:, start : start + 7], scale)
                except EpisodeRejected:
                    continue
                reason = "by name and range" if named else _WRITTEN
                return JointsFound(_selection(f, start, 7), scale, poses, reason, _columns(f, start, 7))
    return None


def pose_in(fields: DatasetFields, joints: JointsFound | None) -> PoseFound | None:
    """The gripper's pose: where the joints bring it but for a constant offset, else by names, else by place."""
    taken = frozenset() if joints is None else joints.columns
    places = [place for place in _positions(fields) if not _columns(*place[:2], 3) & taken]
    if joints is not None:
        of_joints = joints.gripper_pose
        offsets = [f.values[:, start : start + 3] - of_joints[:, :3] for f, start, _ in places]
        wander = [float(np.linalg.norm(o - np.median(o, axis=0), axis=-1).max(initial=0)) for o in offsets]
        moved = float(np.ptp(of_joints[:, :3], axis=0).max())
        near = [n for n, w in enumerate(wander) if w < STEADY and (w < moved / 4 or np.abs(offsets[n]).max() < STEADY)]
        near.sort(key=lambda n: float(np.abs(np.median(offsets[n], axis=0)).max()) + wander[n])
        for f, start, _ in (places[n] for n in near):
            if rotation := _rotation_of_joints(fields, f, start, of_joints, taken):
                return _pose(f, start, rotation, "where the joints bring the gripper")
    for f, start, named in sorted(places, key=lambda place: not place[2]):
        if (named or _by_place(f, taken)) and (rotation := _rotation_by_name(fields, f, start, taken)):
            reason = "by name" if named else "the first numbers, taken for the position: see that they are"
            return _pose(f, start, rotation, reason)
    return None


def gripper_width(fields: DatasetFields, taken: Columns) -> WidthFound | None:
    """What was measured of the fingers: one number, or two fingers'; by name, or what is left beside joints and pose."""
    for by_name in (True, False):
        for f in fields.numbers.values():
            left = [
                n for n in range(f.values.shape[1]) if (f.key, n) not in taken and not _NO_STATE.search(_name(f, n))
            ]
            columns = [n for n in left if _GRIPPER.search(_name(f, n)) and not _JOINT.search(_local(f, n))]
            if not by_name:
                state = len(left) <= 2 and len(left) < f.values.shape[1]
                columns = left if state and f.values[:, left].min(initial=0.0) >= -0.06 else []
            if columns and len(columns) <= 6:
                count = 2 if len(columns) >= 2 and columns[1] == columns[0] + 1 else 1
                values = np.abs(f.values[:, columns[0] : columns[0] + count]).sum(axis=-1)
                scale, scale_reason = _width_scale(values, count)
                reason = "by name" if by_name else "what is left of the state: see that it is so"
                return WidthFound(_selection(f, columns[0], count), values * scale, scale, reason, scale_reason)
    return None


def gripper_command(fields: DatasetFields, width: WidthFound | None) -> CommandFound | None:
    """What was asked of the fingers, and which end of it is open: the one that goes with a greater width."""
    everywhere = [(f, n) for f in fields.numbers.values() for n in range(f.values.shape[1])]
    named = [(f, n) for f, n in everywhere if _GRIPPER.search(_local(f, n))]
    last = [(f, f.values.shape[1] - 1) for f in fields.numbers.values() if f.values.shape[1] >= 4]
    for f, n in named or last:
        values = f.values[:, n]
        low, high = _range(values)
        reason = "by name" if named else "the action's last number"
        if width is None or len(width.values) != len(values) or not np.ptp(values) or not np.ptp(width.values):
            ends = (low, high)
            return CommandFound(_selection(f, n, 1), ends, reason, "the smaller one taken for closed: see that it is")
        delays = range(0, min(20, len(values) // 3))
        with_width = [np.corrcoef(values[: len(values) - d], width.values[d:])[0, 1] for d in delays]
        agreement = max(with_width, key=lambda r: abs(r) if np.isfinite(r) else 0.0)
        ends = (low, high) if agreement > 0 else (high, low)
        return CommandFound(_selection(f, n, 1), ends, reason, f"goes with the width (correlation {agreement:.2f})")
    return None


def object_poses_in(fields: DatasetFields, names: Sequence[str], form: str) -> dict[str, Selection]:
    """The objects' poses by name, where keys bear their names, or one key `object` for the only one."""
    size = 3 + rotation_width(form)
    found: dict[str, Selection] = {}
    for name in names:
        for f in fields.numbers.values():
            key = f.key.rsplit(".", 1)[-1].lower()
            fits = name in key or (len(names) == 1 and key.startswith(("object", "obj")))
            if fits and f.values.shape[1] >= size and (rotation_width(form) != 4 or _is_unit(f.values[:, 3:7])):
                found[name] = _selection(f, 0, size)
                break
    return found


def _positions(fields: DatasetFields) -> Iterator[tuple[NumericField, int, bool]]:
    """Three numbers in a row that can be metres, and whether they are named as a gripper's position."""
    for f in fields.numbers.values():
        if _NO_STATE.search(f.key):
            continue
        for start in range(f.values.shape[1] - 2):
            if np.abs(f.values[:, start : start + 3]).max(initial=0.0) < 3000:
                yield f, start, _names_position(f, start)


def _names_position(f: NumericField, start: int) -> bool:
    if f.names:
        ends = [re.split(r"[._]", f.names[start + k].lower())[-1] for k in range(3)]
        first = f.names[start].lower()
        return ends == ["x", "y", "z"] and not re.search(r"rot|quat|obj|angle|(^|[._])[rq]w?x", first)
    key = f.key.lower()
    return bool(start == 0 and re.search(r"(ee|tcp|tool|end_?effector|cartesian|gripper).*(pos|pose|xyz)", key))


def _by_place(f: NumericField, taken: Columns) -> bool:
    return f.key in ("observation.state", "state") and f.values.shape[1] in (7, 8) and not _columns(f, 0, 8) & taken


def _rotations(
    fields: DatasetFields, f: NumericField, start: int, taken: Columns
) -> Iterator[tuple[NumericField, int, int]]:
    """Where a rotation may be: after the position, or under a key of its own; with how many numbers it may have."""
    for width in (4, 6, 9, 3):
        if start + 3 + width <= f.values.shape[1] and not _columns(f, start + 3, width) & taken:
            yield f, start + 3, width
    for other in fields.numbers.values():
        size = other.values.shape[1]
        if other is not f and size in (3, 4, 6, 9) and not _NO_STATE.search(other.key):
            yield other, 0, size


def _pose(f: NumericField, start: int, rotation: _Rotation, reason: str) -> PoseFound:
    other, first, form, form_reason = rotation
    width = rotation_width(form)
    columns = _columns(f, start, 3) | _columns(other, first, width)
    return PoseFound(_selection(f, start, 3), _selection(other, first, width), form, reason, form_reason, columns)


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
        values, name = other.values[:, first : first + width], _name(other, first).lower()
        if other is not f and not re.search(r"quat|rot|orn|orient|axis|rpy|euler|6d", name):
            continue
        if width == 4 and _is_unit(values):
            names = [_name(other, first + k).lower() for k in range(4)]
            if names[0][-1:] == "w" or names[3][-1:] == "w":
                return (
                    _selection(other, first, 4),
                    f"quaternion_{'wxyz' if names[0][-1:] == 'w' else 'xyzw'}",
                    "by name",
                )
            return other, first, "quaternion_xyzw", "the usual order: see that it is so"
        if width == 3 and np.abs(values).max(initial=0.0) <= 4 * np.pi:
            euler = re.search(r"roll|rpy|euler|pitch", name)
            form, reason = (
                ("euler_xyz", "by name: see the order") if euler else ("rotation_vector", "the usual form: see it")
            )
            return other, first, form, reason
        if width == 6 and re.search(r"6d|rot", name):
            return other, first, "rotation_6d", "six numbers: see that they are columns"
    return None


def _width_scale(values: np.ndarray, count: int) -> tuple[float, str]:
    high = float(values.max(initial=0.0))
    if high <= 0.0405 and count == 1 and high > 0.02:
        return 2.0, "up to 0.04: one finger's way, half the width"
    for most, scale, reason in (
        (0.12, 1.0, ""),
        (1.05, 0.08, "0..1, taken for 0 to 8 cm"),
        (105, 1e-3, "millimetres?"),
    ):
        if high <= most:
            return scale, reason
    return 0.08 / 255, "0..255, taken for 0 to 8 cm"


def _range(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    if low >= 0 and 0.005 < high <= 0.12:
        return 0.0, 0.04 if high <= 0.0405 else 0.08
    return next(((a, b) for a, b in _RANGES if a - 0.02 * (b - a) <= low and high <= b + 0.02 * (b - a)), (low, high))


def _columns(f: NumericField, start: int, count: int) -> Columns:
    return frozenset((f.key, n) for n in range(start, start + count))


def _is_unit(values: np.ndarray) -> bool:
    return values.shape[1] == 4 and bool((np.abs(np.linalg.norm(values, axis=-1) - 1) < 1e-3).all())


def _local(f: NumericField, index: int) -> str:
    """The name of one number, the key's where it has none."""
    return f.names[index] if f.names else f.key.rsplit(".", 1)[-1]


def _name(f: NumericField, index: int) -> str:
    return f"{f.key}.{f.names[index]}" if f.names else f.key


def _selection(f: NumericField, start: int, count: int) -> Selection:
    """How a mapping names these numbers: by name where each has a plain one of its own."""
    if f.values.shape[1] == count:
        return f.key
    if f.names and len(set(f.names)) == len(f.names) and all(re.fullmatch(r"[\w.\- ]+", name) for name in f.names):
        return f"{f.key}[{','.join(f.names[start : start + count])}]"
    return f"{f.key}[{start}]" if count == 1 else f"{f.key}[{start}:{start + count}]"
