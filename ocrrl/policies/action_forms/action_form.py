"""One declared form of action: a policy's reply becomes our chunk, and our chunk becomes such a reply.

A chunk is (n, H, 7) in the units of `ocrrl.interface.actions`. Other forms are made a path of commanded gripper poses, resampled to
`CONTROL_HZ` (positions linearly, rotations along the shortest arc), and only then differenced. Within a chunk a step is the
difference of two targets, so that what a residual adds is not undone by the next target; the first step leads from the pose at the
observation that `chunk_starts_at` names, and a caller whose chunk comes late keeps that observation with the chunk.

Legend: n robots, H rows of a reply, h control steps; poses are position [m] and wxyz quaternion, robot base frame.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from ocrrl.config_builder import ParamsError, build, shown
from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.interface.fr3_chain import FR3
from ocrrl.interface.observations import GRIPPER_DOWN, RobotState
from ocrrl.interface.rigid import NOWHERE
from ocrrl.interface.rotations import nearest_sign
from ocrrl.policies.action_forms import gripper_form, motion_forms
from ocrrl.policies.action_forms.declaration import FormDeclaration, columns_of
from ocrrl.policies.action_forms.named_forms import NAMED_FORMS, STEPS
from ocrrl.policies.action_forms.pose_path import (
    from_frame,
    held,
    in_frame,
    path_along,
    resampled,
    rows_at,
    steps_along,
)

FORM = "form"
Rows = Float[np.ndarray, "n _ _"]


def action_form(declared: Mapping[str, Any], where: str = "action form") -> "ActionForm":
    """The form that `declared` describes: the fields of `FormDeclaration`, on top of those of a named `form`.

    Where neither `form` nor `actions` is given the form is `steps`; with `actions` and no `form`, nothing is filled in.
    Raises ParamsError that begins with `where` and the key for an unknown, missing or wrong value.
    """
    if not isinstance(declared, Mapping):
        raise ParamsError(f"{where} must be a mapping of an action form's fields, got {shown(declared)}")
    fields = dict(declared)
    if FORM in fields or "actions" not in fields:
        name = fields.pop(FORM, STEPS)
        if not isinstance(name, str) or name not in NAMED_FORMS:
            raise ParamsError(f"{where}.{FORM} must be one of {', '.join(NAMED_FORMS)}, got {shown(name)}")
        fields = {**NAMED_FORMS[name], **fields}
    return ActionForm(build(FormDeclaration, fields, where, complete=False))


class ActionForm:
    """Converts replies in the form of `declaration` to our chunks, and our chunks to such replies."""

    def __init__(self, declaration: FormDeclaration) -> None:
        self.declaration = declaration
        self.keys = declaration.keys()
        self._base, self._tool = np.array(declaration.base_pose), np.array(declaration.tool_in_gripper)

    @cached_property
    def is_steps(self) -> bool:
        """Whether rows are our own steps but for scales and the form of rotation: what the robot does then plays no part."""
        form = self.declaration
        unmoved = form.base_pose == NOWHERE and form.tool_in_gripper == NOWHERE
        return form.actions == "deltas" and form.along == "base" and form.hz == CONTROL_HZ and unmoved

    def control_steps(self, rows: int) -> int:
        """h, of a reply of `rows`."""
        return rows_at(rows, self.declaration.hz, CONTROL_HZ)

    def to_steps(self, actions: Mapping[str, Rows], robot: RobotState) -> Float[np.ndarray, "n h 7"]:
        """Our chunk, of the reply `actions` to the observation `robot`; not limited, but where steps catch up with a path.

        Raises ValueError naming the key for one that is missing or of another shape, for numbers that are not finite or are no
        rotation, and for a gripper command far out of the declared range.
        """
        form = self.declaration
        rows = self._read(actions, len(robot.gripper_pose))
        opening = gripper_form.opening(rows["gripper_command"], form)
        if self.is_steps:
            return np.concatenate([motion_forms.plain_steps(rows, form), opening], axis=-1)
        path = resampled(self._path(rows, robot), form.hz, CONTROL_HZ)
        return np.concatenate([steps_along(path), held(opening, form.hz, CONTROL_HZ)], axis=-1)

    def from_steps(self, chunk: Float[np.ndarray, "n H 7"], robot: RobotState) -> dict[str, Rows]:
        """The reply, by key, that stands for `chunk` where `robot` is observed: `to_steps` undone.

        Joints follow by inverse kinematics along the path of the steps from the measured joints on; ValueError where the arm cannot
        go there.
        """
        form = self.declaration
        if self.is_steps:
            motion = motion_forms.written_steps(chunk[..., :6], form)
        else:
            path = path_along(self._start(robot), np.asarray(chunk[..., :6], float))
            motion = self.from_path(resampled(path, CONTROL_HZ, form.hz), robot)
        opening = held(np.asarray(chunk[..., 6:], float), CONTROL_HZ, form.hz)
        return self._written(motion | {"gripper_command": gripper_form.command(opening, form)})

    def rows_from_steps(
        self, steps: Float[np.ndarray, "n 6"], opening: Float[np.ndarray, "n 1"], robot: RobotState
    ) -> dict[str, Float[np.ndarray, "n _"]]:
        """One row, by key, for each of `steps` that are made within 1 / `hz`, each from its own `robot`: rows of a dataset."""
        form = self.declaration
        if self.is_steps:
            motion = motion_forms.written_steps(steps[:, None], form)
        else:
            motion = self.from_path(path_along(self._start(robot), steps[:, None]), robot)
        reply = self._written(motion | {"gripper_command": gripper_form.command(opening[:, None], form)})
        return {key: values[:, 0] for key, values in reply.items()}

    def from_path(self, path: Float[np.ndarray, "n K 7"], robot: RobotState) -> dict[str, Rows]:
        """The motion's fields (n, K - 1, d) that lead along the gripper poses `path`, which follow each other at `hz`."""
        form = self.declaration
        if not form.is_pose:
            return motion_forms.written_joints(path, robot.joint_positions, form)
        signed = np.concatenate([path[..., :3], nearest_sign(path[..., 3:], GRIPPER_DOWN)], axis=-1)
        return motion_forms.written_poses(self._foreign(signed), self._foreign(robot.gripper_pose), form)

    def _start(self, robot: RobotState) -> Float[np.ndarray, "n 7"]:
        """The pose that the first step leads from."""
        form = self.declaration
        if form.actions == "joint_velocities":
            return FR3.gripper_pose(np.asarray(robot.joint_positions, float))
        measured = form.chunk_starts_at == "measured" and form.actions != "deltas"
        return np.asarray(robot.gripper_pose if measured else robot.commanded_pose, float)

    def _path(self, rows: Mapping[str, Rows], robot: RobotState) -> Float[np.ndarray, "n _ 7"]:
        """The gripper poses (n, H + 1, 7) at `hz` that a reply's `rows` ask for."""
        form, start = self.declaration, self._start(robot)
        if form.is_pose:
            reference = robot.gripper_pose if form.actions == "offsets" else start
            targets = motion_forms.read_poses(rows, self._foreign(reference), form)
            ours = from_frame(targets, self._base, self._tool)
        else:
            ours = motion_forms.read_joints(rows, robot.joint_positions, form)
        return np.concatenate([start[:, None], ours], axis=1)

    def _foreign(self, poses: np.ndarray) -> np.ndarray:
        return in_frame(np.asarray(poses, float), self._base, self._tool)

    def _read(self, actions: Mapping[str, Rows], robots: int) -> dict[str, Rows]:
        """The numbers (n, H, d) of each field."""
        if missing := [key for key in self.keys if key not in actions]:
            raise ValueError(
                f"a reply must have the keys {', '.join(self.keys)}, got {', '.join(actions) or 'none'} ({missing[0]} is missing)"
            )
        taken = {key: np.asarray(actions[key], float) for key in self.keys}
        rows = next(iter(taken.values())).shape[1:2]
        for key, values in taken.items():
            wanted = (robots, *rows, self.keys[key])
            if values.shape != wanted or not rows or not rows[0]:
                raise ValueError(
                    f"{key} must be of shape ({robots}, rows, {self.keys[key]}), as many rows as the other keys, got {values.shape}"
                    " (more numbers in the declaration: widths)"
                )
            if not np.isfinite(values).all():
                raise ValueError(f"{key} must be finite numbers, got {values[~np.isfinite(values)][0]}")
        return {
            name: np.concatenate([taken[key][..., columns] for key, columns in columns_of(selection, width)], axis=-1)
            for name, (selection, width) in self.declaration.selections().items()
        }

    def _written(self, fields: Mapping[str, Rows]) -> dict[str, Rows]:
        """The reply, by key, that has the numbers of `fields` where the selections say, and 0 elsewhere."""
        shape = fields["gripper_command"].shape[:2]
        reply = {key: np.zeros((*shape, width)) for key, width in self.keys.items()}
        for name, (selection, width) in self.declaration.selections().items():
            begin = 0
            for key, columns in columns_of(selection, width):
                end = begin + columns.stop - columns.start
                reply[key][..., columns] = fields[name][..., begin:end]
                begin = end
        return reply


DEFAULT = action_form({}, "action form")
"""Our own steps: `actions` (n, H, 7)."""
