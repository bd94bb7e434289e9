"""The mapping of foreign recordings that a user declares; each format adds fields and defaults."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from jaxtyping import Float

from ocrrl.config_builder import build
from ocrrl.interface.cameras import CAMERA_NAME
from ocrrl.interface.field_selection import Selection, check_selection, key_of, one_by_one, parts_of
from ocrrl.interface.rigid import NOWHERE, Numbers, check_pose
from ocrrl.interface.rotation_forms import check_rotation_form
from ocrrl.recordings.meaning.gripper_command import GripperDeclaration
from ocrrl.recordings.meaning.rotation_forms import PoseDeclaration

UNKNOWN = "???"
"""Stands in a suggested mapping where only a person knows the value."""

ACTION_SOURCES = ("from_poses", "deltas", "poses", "joint_positions")
_NEEDED = {
    "poses": ("command_position", "command_rotation"),
    "joint_positions": ("joint_command",),
}
"""The selections that an action source cannot do without, and that no other has a use for."""


@dataclass(frozen=True, kw_only=True)
class ForeignMapping:
    """Which of a recording's numbers is what. Selections are `key`, `key[3]`, `key[0:3]`, `key[name,name]` or a list."""

    cell: str
    """The hardware that recorded it; cells are never mixed unless told to."""
    images: Mapping[str, str]
    """Camera name to the recording's."""
    position: Selection | None = None
    """Of the gripper; with `rotation` left out, too, the pose follows from `joint_positions`."""
    rotation: Selection | None = None
    rotation_form: str = "rotation_vector"
    """One of `rotation_forms`: quaternions, a rotation vector, Euler angles, 6-D, a matrix."""
    rotation_inverse: bool = False
    """True where the recorded rotation is the inverse of the gripper's."""
    position_scale: float = 1.0
    """Metres that one unit of every position stands for."""
    base_pose: Numbers = NOWHERE
    """Of the robot's base in the world of the recorded poses, metres and wxyz."""
    tool_in_gripper: Numbers = NOWHERE
    """Of the recorded tool in our gripper frame (between the fingertips, fingers along z, closing along y), metres and wxyz."""
    joint_positions: Selection | None = None
    """Replay needs them, so `object_poses` does too; recorded poses are held to them."""
    joint_scale: float = 1.0
    """Radians that one unit of `joint_positions` stands for."""
    gripper_width: Selection
    """One number, or two fingers' positions, whose distance it then is."""
    gripper_width_scale: float = 1.0
    """Metres that one unit of `gripper_width` stands for."""
    gripper_width_at_zero: float = 0.0
    """The width [m] where the recorded number is 0."""
    gripper_command: Selection
    """The commanded opening, mapped to [0, 1] by `gripper_closed` and `gripper_open`."""
    gripper_closed: float | None = None
    """None, of both: the format's usual ones, or what `gripper_width` tells."""
    gripper_open: float | None = None
    object_poses: Mapping[str, Selection] = field(default_factory=dict)
    """Object name to position and rotation; none: not for replay."""
    object_rotation_form: str | None = None
    """None: `rotation_form`."""
    actions: str = "from_poses"
    """`from_poses`: the step from each measured pose to the next; `deltas`: `steps` as they are; `poses`: the steps to
    `command_position` and `command_rotation`; `joint_positions`: those to where `joint_command` brings the gripper."""
    steps: Selection | None = None
    """For `deltas`: translation [m] and rotation vector [rad] of each step, 6 numbers."""
    command_position: Selection | None = None
    command_rotation: Selection | None = None
    command_rotation_form: str | None = None
    """None: `rotation_form`."""
    command_tool_in_gripper: Numbers | None = None
    """Of the commanded tool, where it is another than the measured one's `tool_in_gripper`."""
    joint_command: Selection | None = None
    """In the units of `joint_positions`."""
    success: Selection | None = None
    """A label above 0 at the last row means success."""
    operator: str
    instruction: str | None = None
    """None: the tabletop task's, which is what training, evaluation and rollouts ask with."""

    def __post_init__(self) -> None:
        if not self.cell.strip():
            raise ValueError("cell must be a name, got an empty text")
        if not self.images or not all(CAMERA_NAME.fullmatch(camera) for camera in self.images):
            raise ValueError(
                f"images must map camera names (a-z, 0-9, _) to the recording's, got {dict(self.images)!r}"
            )
        for name in ("operator", "instruction"):
            if getattr(self, name) is not None and not getattr(self, name).strip():
                raise ValueError(f"{name} must be a text, got an empty one")
        for name, selection in self.selections().items():
            check_selection(name, selection)
        self._check_poses()
        self._check_actions()
        if self.gripper_declaration().ends[0] == self.gripper_declaration().ends[1]:
            raise ValueError(f"gripper_open must differ from gripper_closed, got {self.gripper_open:g} for both")
        for name in ("gripper_width_scale", "joint_scale", "position_scale"):
            if getattr(self, name) == 0 or (name != "gripper_width_scale" and getattr(self, name) < 0):
                wanted = "other than 0" if name == "gripper_width_scale" else "above 0"
                raise ValueError(f"{name} must be {wanted}, got {getattr(self, name):g}")
        if self.gripper_width_scale < 0 and self.gripper_width_at_zero <= 0:
            raise ValueError(
                f"gripper_width_at_zero must be above 0 m where gripper_width_scale is below 0,"
                f" got {self.gripper_width_at_zero:g}"
            )

    def _check_poses(self) -> None:
        check_rotation_form("rotation_form", self.pose_declaration().rotation_form)
        for name in ("object_rotation_form", "command_rotation_form"):
            if getattr(self, name) is not None:
                check_rotation_form(name, getattr(self, name))
        for name in ("base_pose", "tool_in_gripper", "command_tool_in_gripper"):
            if getattr(self, name) is not None:
                check_pose(name, getattr(self, name))
        if (self.position is None) != (self.rotation_selection is None):
            absent = "position" if self.position is None else "rotation"
            raise ValueError(
                f"{absent} must be declared, or neither position nor rotation (then the pose follows from the joints), got None"
            )
        if self.joint_positions is None and self.position is None:
            raise ValueError("joint_positions must be declared where position and rotation are not, got None")
        if self.joint_positions is None and self.object_poses:
            raise ValueError("joint_positions must be declared where object_poses is, got None")

    def _check_actions(self) -> None:
        if self.actions not in ACTION_SOURCES:
            raise ValueError(f"actions must be one of {', '.join(ACTION_SOURCES)}, got {self.actions!r}")
        if self.actions != "poses" and (self.command_rotation_form or self.command_tool_in_gripper):
            raise ValueError(
                "command_rotation_form and command_tool_in_gripper must be left out but for actions: poses"
            )
        for source, needed in _NEEDED.items():
            for name in needed:
                if (self.actions == source) != (getattr(self, name) is not None):
                    raise ValueError(
                        f"{name} must be declared for actions: {source} and only then, got {getattr(self, name)!r}"
                    )

    @classmethod
    def from_params(cls, mapping: Mapping[str, object]) -> Self:
        """From the `mapping` section of params.yaml; ValueError names unknown, missing and wrong values."""
        return build(cls, mapping, "mapping", complete=False)

    @property
    def rotation_selection(self) -> Selection | None:
        """Where the gripper's rotation is."""
        return self.rotation

    @property
    def step_selection(self) -> Selection | None:
        """Where the steps of `actions: deltas` are; None for other sources."""
        return self.steps

    def scaled_steps(self, steps: Float[np.ndarray, "T 6"]) -> Float[np.ndarray, "T 6"]:
        """Recorded steps in metres and radians."""
        return steps

    def selections(self) -> dict[str, Selection]:
        """Every selection that is declared, by its field."""
        named = {
            "position": self.position,
            "rotation": self.rotation_selection,
            "joint_positions": self.joint_positions,
            "gripper_width": self.gripper_width,
            "gripper_command": self.gripper_command,
            "steps": self.step_selection,
            "command_position": self.command_position,
            "command_rotation": self.command_rotation,
            "joint_command": self.joint_command,
            "success": self.success,
        } | {f"object_poses.{name}": selection for name, selection in self.object_poses.items()}
        return {name: selection for name, selection in named.items() if selection is not None}

    def keys(self) -> set[str]:
        """The keys whose numbers it names; the images' are in `images`."""
        return {key_of(part) for selection in self.selections().values() for part in parts_of(selection)}

    def pose_declaration(self) -> PoseDeclaration:
        """What is declared of the recorded poses."""
        return PoseDeclaration(
            self.rotation_form, self.rotation_inverse, self.position_scale, self.base_pose, self.tool_in_gripper
        )

    def command_declaration(self) -> PoseDeclaration:
        """What is declared of the commanded poses of `actions: poses`."""
        declared = self.pose_declaration()
        return replace(
            declared,
            rotation_form=self.command_rotation_form or declared.rotation_form,
            tool_in_gripper=self.command_tool_in_gripper or declared.tool_in_gripper,
        )

    def gripper_declaration(self) -> GripperDeclaration:
        """What is declared of the gripper."""
        return GripperDeclaration(
            self.gripper_closed, self.gripper_open, usual=(0.0, 1.0), strict=False, scale=self.gripper_width_scale
        )

    def rotation_line(self, form: str) -> str:
        """The line that declares the rotation to be in `form`."""
        return f"rotation_form: {form}"

    def joint_line(self, order: Sequence[int]) -> str:
        """The line that takes the joints in `order`."""
        single = one_by_one(self.joint_positions) if self.joint_positions is not None else None
        if single is None and isinstance(self.joint_positions, str):
            single = [f"{self.joint_positions}[{k}]" for k in range(7)]
        if single is None:
            return f"joint_positions in the order {', '.join(str(k + 1) for k in order)} of what it selects"
        return f"joint_positions: [{', '.join(single[k] for k in order)}]"


def open_keys(mapping: Mapping[str, object]) -> list[str]:
    """The keys of `mapping` whose value nobody has filled in, `images.front` for one within another."""
    found = []
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            found += [f"{key}.{inner}" for inner in open_keys(value)]
        elif UNKNOWN in (value if isinstance(value, list | tuple) else (value,)):
            found.append(key)
    return found
