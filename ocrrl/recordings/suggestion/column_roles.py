"""Finds which columns of a recording are joints, gripper and objects, by ranges and kinematics, else by names.

Legend: T recorded rows.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.interface.rotation_forms import rotation_width
from ocrrl.recordings.meaning.gripper_command import RANGES
from ocrrl.recordings.meaning.kinematic_witness import poses_of_joints
from ocrrl.recordings.suggestion.dataset_fields import (
    NO_STATE,
    Columns,
    DatasetFields,
    NumericField,
    Selection,
    is_unit,
)

IN_DEGREES = 0.01745329
_JOINT = re.compile(r"joint|(^|[._])(q|j)_?\d$", re.IGNORECASE)
_NO_JOINT = re.compile(r"(^|[._ ])[rq]?[xyzw]$|roll|pitch|yaw|grip|finger|width", re.IGNORECASE)
_GRIPPER = re.compile(r"grip|finger|width|jaw|opening", re.IGNORECASE)
_UPRIGHT = 0.1  # of a quaternion's parts that tilt


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


def joints_in(fields: DatasetFields) -> Iterator[JointsFound]:
    """Every seven numbers in a row that can be an FR3's joints; those named as joints go first."""
    windows = [(f, start) for f in fields.numbers.values() for start in range(f.values.shape[1] - 6)]
    windows = [(f, start) for f, start in windows if not NO_STATE.search(f.name_of(start)) and not _is_other(f, start)]
    for named in (True, False):
        for f, start in windows:
            if bool(_JOINT.search(f.name_of(start))) != named:
                continue
            values = f.values[:, start : start + 7]
            if not named and values[:, 3].max(initial=-1.0) >= 0:  # an elbow bends one way
                continue
            for scale in (1.0, IN_DEGREES) if np.abs(values).max(initial=0.0) > 2 * np.pi else (1.0,):
                try:
                    poses = poses_of_joints(values, scale)
                except EpisodeRejected:
                    continue
                reason = "by name and range" if named else "an FR3's limits hold for them"
                yield JointsFound(f.selection(start, 7), scale, poses, reason, f.columns(start, 7))
                break


def _is_other(f: NumericField, start: int) -> bool:
    """Whether names, or a quaternion among them, say that seven numbers are no joints."""
    names = f.names[start : start + 7] if f.names else []
    quaternion = any(is_unit(f.values[:, first : first + 4]) for first in range(start, start + 4))
    return quaternion or any(_NO_JOINT.search(name) for name in names)


def gripper_width(fields: DatasetFields, taken: Columns) -> WidthFound | None:
    """What was measured of the fingers: one number, or two fingers'; by name, or what is left beside joints and pose."""
    for by_name in (True, False):
        for f in fields.numbers.values():
            left = [
                n for n in range(f.values.shape[1]) if (f.key, n) not in taken and not NO_STATE.search(f.name_of(n))
            ]
            columns = [n for n in left if _GRIPPER.search(f.name_of(n)) and not _JOINT.search(f.short_name_of(n))]
            if not by_name:
                state = len(left) <= 2 and len(left) < f.values.shape[1]
                columns = left if state and f.values[:, left].min(initial=0.0) >= -0.06 else []
            if columns and len(columns) <= 6:
                count = 2 if len(columns) >= 2 and columns[1] == columns[0] + 1 else 1
                values = np.abs(f.values[:, columns[0] : columns[0] + count]).sum(axis=-1)
                scale, scale_reason = _width_scale(values, count)
                reason = "by name" if by_name else "what is left of the state: see that it is so"
                return WidthFound(f.selection(columns[0], count), values * scale, scale, reason, scale_reason)
    return None


def gripper_command(fields: DatasetFields, width: WidthFound | None) -> CommandFound | None:
    """What was asked of the fingers, and which end of it is open: the one that goes with a greater width."""
    everywhere = [(f, n) for f in fields.numbers.values() for n in range(f.values.shape[1])]
    named = [(f, n) for f, n in everywhere if _GRIPPER.search(f.short_name_of(n))]
    last = [(f, f.values.shape[1] - 1) for f in fields.numbers.values() if f.values.shape[1] >= 4]
    for f, n in named or last:
        values = f.values[:, n]
        low, high = _range(values)
        reason = "by name" if named else "the action's last number"
        if width is None or len(width.values) != len(values) or not np.ptp(values) or not np.ptp(width.values):
            ends = (low, high)
            return CommandFound(f.selection(n, 1), ends, reason, "the smaller one taken for closed: see that it is")
        delays = range(0, min(20, len(values) // 3))
        with_width = [np.corrcoef(values[: len(values) - d], width.values[d:])[0, 1] for d in delays]
        agreement = max(with_width, key=lambda r: abs(r) if np.isfinite(r) else 0.0)
        ends = (low, high) if agreement > 0 else (high, low)
        return CommandFound(f.selection(n, 1), ends, reason, f"goes with the width (correlation {agreement:.2f})")
    return None


def object_poses_in(fields: DatasetFields, names: Sequence[str], form: str) -> tuple[dict[str, Selection], str]:
    """The objects' poses by name, where keys bear their names, or one key `object` for the only one; and their form.

    `form`: the gripper's, which they have unless their numbers are quaternions; empty where the order cannot be told.
    """
    size = 7 if rotation_width(form) == 4 else 3 + rotation_width(form)
    found: dict[str, Selection] = {}
    forms: set[str] = set()
    for name in names:
        for f in fields.numbers.values():
            key = f.key.rsplit(".", 1)[-1].lower()
            if not (name in key or (len(names) == 1 and key.startswith(("object", "obj")))):
                continue
            is_quaternion = is_unit(f.values[:, 3:7])
            if is_quaternion or (f.values.shape[1] >= size and rotation_width(form) != 4):
                found[name] = f.selection(0, 7 if is_quaternion else size)
                forms.add(
                    _upright_order(f.values[:, 3:7]) or (form if rotation_width(form) == 4 else "")
                    if is_quaternion
                    else form
                )
                break
    return found, forms.pop() if len(forms) == 1 else ""


def _upright_order(quaternions: Float[np.ndarray, "T 4"]) -> str:
    """The order in which the first row turns about the vertical alone; empty where none does, or both."""
    first = np.abs(quaternions[0])
    orders = {"quaternion_xyzw": first[0:2], "quaternion_wxyz": first[1:3]}
    upright = [order for order, tilt in orders.items() if tilt.max() < _UPRIGHT]
    return upright[0] if len(upright) == 1 else ""


def _width_scale(values: np.ndarray, count: int) -> tuple[float, str]:
    high = float(values.max(initial=0.0))
    if high <= 0.0405 and count == 1 and high > 0.02:
        return 2.0, "up to 0.04: one finger's way, half the width"
    for most, scale, reason in (
        (0.12, 1.0, ""),
        (1.05, 0.08, "0..1, taken for 0 to 8 cm"),
        (85, 1e-3, "millimetres?"),
        (105, 8e-4, "0..100, taken for 0 to 8 cm"),
    ):
        if high <= most:
            return scale, reason
    return 0.08 / 255, "0..255, taken for 0 to 8 cm"


def _range(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    if low >= 0 and 0.005 < high <= 0.12:
        return 0.0, 0.04 if high <= 0.0405 else 0.08
    return next(((a, b) for a, b, _ in RANGES if a - 0.02 * (b - a) <= low and high <= b + 0.02 * (b - a)), (low, high))
