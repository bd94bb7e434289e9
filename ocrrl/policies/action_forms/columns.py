"""A form of action as the columns of a dataset: one row a frame, the keys of a reply side by side.

Legend: T rows of a demonstration, R rows at the form's rate, d numbers of a key; poses are position [m] and wxyz quaternion.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from ocrrl.interface.actions import ACTION_NAMES, CONTROL_HZ, advance_command, step_between
from ocrrl.interface.observations import PROPRIOCEPTION_NAMES, RobotState
from ocrrl.interface.resampling import interpolate, interpolate_poses
from ocrrl.policies.action_forms.action_form import DEFAULT, ActionForm
from ocrrl.policies.action_forms.declaration import columns_of
from ocrrl.policies.action_forms.pose_path import held, resampled, rows_at

JOINT_STATE_NAMES = (*(f"joint_{number}" for number in range(1, 8)), "gripper_width")
_ROTATIONS = {
    "quaternion_wxyz": "quaternion",
    "rotation_vector": "axis_angle",
    "rotation_6d": "rotation_6d",
    "matrix": "matrix",
}
_ROLES = {
    "deltas": {"command_position": "eef_position_delta", "command_rotation": "eef_rotation_delta"},
    "poses": {"command_position": "eef_position", "command_rotation": "eef_rotation"},
    "joint_positions": {"joint_command": "joint_position"},
    "joint_velocities": {"joint_command": "joint_velocity"},
}


@dataclass(frozen=True)
class Group:
    """Columns that belong together, as Isaac-GR00T's modality.json names them."""

    name: str
    start: int
    end: int
    absolute: bool = True
    """False for steps and velocities."""
    rotation_type: str | None = None
    """In Isaac-GR00T's words; None for what is no rotation, or in a form that it has no word for."""


STATE_GROUPS = (
    Group("eef_position", 0, 3),
    Group("eef_rotation", 3, 7, rotation_type="quaternion"),
    Group("gripper_width", 7, 8),
)
JOINT_STATE_GROUPS = (Group("joint_position", 0, 7), Group("gripper_width", 7, 8))


_WORDS = {
    "eef_position": "gripper_position",
    "eef_rotation": "gripper_quaternion_wxyz",
    "gripper_width": "gripper_width",
    "joint_position": "joint_positions",
}
"""What of the robot's state each group is, in the words of a remote VLA's `policy.state`."""


@dataclass(frozen=True)
class DemonstratedRows:
    """A demonstration at the form's rate."""

    at: Float[np.ndarray, " R"]
    """The (fractional) rows of the demonstration that the rows stand for."""
    state: Float[np.ndarray, "R s"]
    action: Float[np.ndarray, "R a"]


def require_exportable(form: ActionForm) -> None:
    """ValueError for a form that no single row can hold, or whose rate no video has."""
    declared = form.declaration
    if declared.actions == "offsets":
        raise ValueError(
            "actions must be other than offsets in a dataset, where each frame stands for itself; export `poses`: the trainer "
            "makes them relative to the frame that a chunk starts from"
        )
    if not declared.hz.is_integer() or declared.hz > CONTROL_HZ:
        raise ValueError(f"hz must be a whole number up to {CONTROL_HZ} in a dataset, got {declared.hz:g}")


def state_names(form: ActionForm) -> tuple[str, ...]:
    """Of the state that goes with `form`: proprioception, or the joints [rad] and the gripper's width [m]."""
    return PROPRIOCEPTION_NAMES if form.declaration.is_pose else JOINT_STATE_NAMES


def state_groups(form: ActionForm) -> tuple[Group, ...]:
    """The groups of `state_names`."""
    return STATE_GROUPS if form.declaration.is_pose else JOINT_STATE_GROUPS


def action_names(form: ActionForm) -> tuple[str, ...]:
    """A name for each column of the action."""
    if form.declaration == DEFAULT.declaration:
        return ACTION_NAMES
    named = {}
    for name, (selection, width) in form.declaration.selections().items():
        numbers = (
            (key, column)
            for key, columns in columns_of(selection, width)
            for column in range(columns.start, columns.stop)
        )
        for number, place in enumerate(numbers):
            named[place] = f"{name}_{number}" if width > 1 else name
    return tuple(
        named.get((key, column), f"{key}_{column}") for key, width in form.keys.items() for column in range(width)
    )


def action_groups(form: ActionForm) -> tuple[Group, ...]:
    """The action's columns in groups: one a key of the form, or one a field where the form has a single key."""
    declared, begins = form.declaration, _begins(form)
    fields = {}
    for name, (selection, width) in declared.selections().items():
        columns = [(key, c) for key, part in columns_of(selection, width) for c in range(part.start, part.stop)]
        places = [begins[key] + column for key, column in columns]
        if places != list(range(places[0], places[0] + width)):
            raise ValueError(f"{name} must be columns that follow each other for Isaac-GR00T, got {selection!r}")
        gripper = name == "gripper_command"
        rotation = _ROTATIONS.get(declared.command_rotation_form) if name == "command_rotation" else None
        absolute = gripper or declared.actions in ("poses", "joint_positions")
        role = "gripper_position" if gripper else _ROLES[declared.actions][name]
        fields[name] = (columns[0][0], Group(role, places[0], places[-1] + 1, absolute, rotation))
    if len(form.keys) == 1:
        return tuple(group for _, group in fields.values())
    groups = []
    for key, width in form.keys.items():
        inside = [group for owner, group in fields.values() if owner == key]
        alone = inside[0] if len(inside) == 1 else Group(key, 0, 0, all(group.absolute for group in inside))
        groups.append(replace(alone, name=key, start=begins[key], end=begins[key] + width))
    return tuple(groups)


def gr00t_policy(form: ActionForm, declared: Mapping[str, Any], cameras: Sequence[str]) -> dict[str, Any]:
    """The `policy` section of params.yaml for an Isaac-GR00T server that was trained on `cameras` and `form`, `declared` so."""
    actions = dict(declared)
    if len(form.keys) == 1:  # the server answers by the names of `action_groups`
        names = {name: g.name for name, g in zip(form.declaration.selections(), action_groups(form), strict=True)}
        actions = {key: value for key, value in declared.items() if key != "widths"} | names | {"widths": {}}
    state = {group.name: _WORDS[group.name] for group in state_groups(form)}
    return {
        "type": "remote",
        "protocol": "gr00t",
        "cameras": {camera: camera for camera in cameras},
        "state": state,
        "actions": actions,
    }


def openpi_policy(form: ActionForm, declared: Mapping[str, Any], cameras: Mapping[str, str]) -> dict[str, Any]:
    """The `policy` section for an openpi server; `cameras` gives its key by our name. It answers with the columns of the dataset."""
    keys = list(form.keys)
    state = "proprioception" if form.declaration.is_pose else ["joint_positions", "gripper_width"]
    actions = dict(declared)
    if keys != ["actions"]:
        begins, named = _begins(form), {}
        for name, (selection, width) in form.declaration.selections().items():
            places = [
                begins[key] + c for key, part in columns_of(selection, width) for c in range(part.start, part.stop)
            ]
            named[name] = _selected(places)
        actions = {key: value for key, value in declared.items() if key != "widths"} | named
        actions["widths"] = {"actions": sum(form.keys.values())}
    return {
        "type": "remote",
        "protocol": "openpi",
        "cameras": dict(cameras),
        "state": {"observation/state": state},
        "actions": actions,
    }


def demonstrated_rows(
    form: ActionForm,
    proprioception: Float[np.ndarray, "T 8"],
    action: Float[np.ndarray, "T 7"],
    joints: Float[np.ndarray, "T 7"] | None = None,
) -> DemonstratedRows:
    """State and action, in `form` and at its rate, of a demonstration; `joints` [rad] are needed for forms of joints.

    The commanded poses are found again from the actions as the controller makes them: from the first measured pose on, held on
    the leash. Raises ValueError where joints are missing or cannot be reached.
    """
    declared, rows = form.declaration, len(action)
    if not declared.is_pose and joints is None:
        raise ValueError(
            f"actions: {declared.actions} needs the recorded joints, got a demonstration without; name --episodes"
        )
    measured = np.asarray(proprioception[:, :7], float)
    path = [measured[0]]
    for pose, step in zip(measured, np.asarray(action, float), strict=True):
        path.append(advance_command(path[-1], pose, step))
    commanded, width = np.stack(path), np.asarray(proprioception[:, 7:], float)
    steps, opening, at = (
        np.asarray(action[:, :6], float),
        np.asarray(action[:, 6:], float),
        np.arange(rows, dtype=float),
    )
    if declared.hz != CONTROL_HZ:
        at = np.arange(rows_at(rows, CONTROL_HZ, declared.hz)) * (CONTROL_HZ / declared.hz)
        commanded = resampled(commanded[None], CONTROL_HZ, declared.hz)[0]
        steps = step_between(commanded[:-1], commanded[1:])
        opening = held(opening[None], CONTROL_HZ, declared.hz)[0]
        measured, width = interpolate_poses(measured, at), interpolate(width, at)
        joints = interpolate(np.asarray(joints, float), at) if joints is not None else None
    known = np.zeros((len(at), 7)) if joints is None else np.asarray(joints, float)
    robot = RobotState(measured, commanded[: len(at)], known, width[:, 0])
    reply = form.rows_from_steps(steps, opening, robot)
    state = robot.proprioception() if declared.is_pose else np.concatenate([known, width], axis=-1)
    return DemonstratedRows(at, state, np.concatenate([reply[key] for key in form.keys], axis=-1))


def _selected(places: Sequence[int]) -> str | list[str]:
    """The selection of these columns of `actions`: a range where they follow each other."""
    if list(places) == list(range(places[0], places[0] + len(places))):
        return f"actions[{places[0]}:{places[-1] + 1}]"
    return [f"actions[{place}]" for place in places]


def _begins(form: ActionForm) -> dict[str, int]:
    """The first column of each key."""
    ends = np.cumsum([0, *form.keys.values()])
    return dict(zip(form.keys, ends[:-1].tolist(), strict=True))
