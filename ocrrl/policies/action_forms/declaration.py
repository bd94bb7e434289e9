"""What a file declares of another form of action: which numbers of a reply are what, and in which units and frames.

The words are those of a recording's mapping (`ocrrl.recordings.meaning.foreign_mapping`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.interface.field_selection import Selection, check_selection, key_of, one_by_one
from ocrrl.interface.rigid import NOWHERE, Numbers, check_pose
from ocrrl.interface.rotation_forms import check_rotation_form, rotation_width

Kind = Literal["deltas", "poses", "offsets", "joint_positions", "joint_velocities"]
JOINT_KINDS = ("joint_positions", "joint_velocities")
LARGEST_HZ = 1000.0
MOST_NUMBERS = 1024
"""Of one key of a reply: pi0's are padded to 32."""


@dataclass(frozen=True, kw_only=True)
class FormDeclaration:
    """One form of action. Selections are `key`, `key[3]`, `key[0:3]` or a list of those with brackets."""

    actions: Kind = "deltas"
    """`deltas`: each row a step from the row before; `poses`: the gripper's poses in the base frame; `offsets`: its poses from
    the measured one at the observation; `joint_positions` [rad]; `joint_velocities` [rad/s]."""
    hz: float = float(CONTROL_HZ)
    """Of the rows; row k says where the gripper is to be at (k + 1) / hz after the observation."""
    command_position: Selection | None = None
    """3 numbers of `deltas`, `poses` and `offsets`."""
    command_rotation: Selection | None = None
    command_rotation_form: str = "rotation_vector"
    """One of `ocrrl.interface.rotation_forms`."""
    position_scale: float = 1.0
    """Metres that one unit of `command_position` stands for."""
    rotation_scale: float = 1.0
    """Radians that one unit of a rotation vector stands for."""
    axes: Literal["base", "gripper"] | None = None
    """Of `deltas` and `offsets`: along the base's axes, or those of the gripper where they start. None: `base` for `deltas`,
    `gripper` for `offsets`."""
    base_pose: Numbers = NOWHERE
    """Of the robot's base in the world of the poses, metres and wxyz."""
    tool_in_gripper: Numbers = NOWHERE
    """Of the tool whose motion is declared, in our gripper frame (between the fingertips), metres and wxyz."""
    joint_command: Selection | None = None
    """7 numbers of `joint_positions` and `joint_velocities`."""
    joint_scale: float = 1.0
    """Radians, or radians a second, that one unit of `joint_command` stands for."""
    gripper_command: Selection = "actions[6]"
    """1 number, mapped to an opening in [0, 1] by `gripper_closed` and `gripper_open`."""
    gripper_closed: float = 0.0
    gripper_open: float = 1.0
    gripper_binary: bool = False
    """Whether the gripper is only ever open or closed, whatever lies between."""
    chunk_starts_at: Literal["commanded", "measured"] = "commanded"
    """The pose from which the first step of `poses`, `offsets` and `joint_positions` leads: `commanded` where the targets were
    commanded poses in training, `measured` where they were the next measured ones."""
    widths: Mapping[str, int] = field(default_factory=dict)
    """How many numbers a key has, where it has more than the selections name."""

    def __post_init__(self) -> None:
        self._check_selections()
        check_rotation_form("command_rotation_form", self.command_rotation_form)
        for name in ("base_pose", "tool_in_gripper"):
            check_pose(name, getattr(self, name))
        self._check_kind()
        for name in ("position_scale", "rotation_scale", "joint_scale"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name):g}")
        if not 0 < self.hz <= LARGEST_HZ:
            raise ValueError(f"hz must be above 0, at most {LARGEST_HZ:g}, got {self.hz:g}")
        if self.gripper_closed == self.gripper_open:
            raise ValueError(f"gripper_open must differ from gripper_closed, got {self.gripper_open:g} for both")
        self._check_widths()

    @property
    def is_pose(self) -> bool:
        """Whether the gripper's motion is declared, not the joints'."""
        return self.actions not in JOINT_KINDS

    @property
    def along(self) -> str:
        """The axes of `deltas` and `offsets`: `base` or `gripper`."""
        return self.axes or ("gripper" if self.actions == "offsets" else "base")

    def selections(self) -> dict[str, tuple[Selection, int]]:
        """What is selected, by its field, and how many numbers it must be."""
        motion = (
            {"command_position": 3, "command_rotation": rotation_width(self.command_rotation_form)}
            if self.is_pose
            else {"joint_command": 7}
        )
        return {name: (getattr(self, name), width) for name, width in {**motion, "gripper_command": 1}.items()}

    def keys(self) -> dict[str, int]:
        """The keys that a reply must have, and how many numbers each has."""
        found: dict[str, int] = {}
        for selection, width in self.selections().values():
            for key, columns in columns_of(selection, width):
                found[key] = max(found.get(key, 0), columns.stop)
        return found | dict(self.widths)

    def _check_selections(self) -> None:
        for name in ("command_position", "command_rotation", "joint_command", "gripper_command"):
            if (selection := getattr(self, name)) is not None:
                check_selection(name, selection)

    def _check_kind(self) -> None:
        for name in ("command_position", "command_rotation", "joint_command"):
            if (getattr(self, name) is not None) != (self.is_pose == (name != "joint_command")):
                kinds = "deltas, poses and offsets" if name != "joint_command" else " and ".join(JOINT_KINDS)
                raise ValueError(
                    f"{name} must be declared for actions: {kinds} and only then, got {getattr(self, name)!r} for {self.actions}"
                )
        for name, (selection, width) in self.selections().items():
            numbers = sum(columns.stop - columns.start for _, columns in columns_of(selection, width))
            if numbers != width:
                form = f" for {self.command_rotation_form}" if name == "command_rotation" else ""
                raise ValueError(f"{name} must be {width} numbers{form}, got {numbers} ({selection!r})")
        if self.axes is not None and self.actions not in ("deltas", "offsets"):
            raise ValueError(f"axes must be left out for actions: {self.actions}, got {self.axes!r}")
        if not self.is_pose and (self.base_pose != NOWHERE or self.tool_in_gripper != NOWHERE):
            raise ValueError(f"base_pose and tool_in_gripper must be left out for actions: {self.actions}, got a pose")
        if self.rotation_scale != 1.0 and self.command_rotation_form != "rotation_vector":
            raise ValueError(
                f"rotation_scale must be 1 but for command_rotation_form: rotation_vector, got {self.rotation_scale:g}"
            )

    def _check_widths(self) -> None:
        needed = {}
        for selection, width in self.selections().values():
            for key, columns in columns_of(selection, width):
                needed[key] = max(needed.get(key, 0), columns.stop)
        for key, width in self.widths.items():
            if not needed.get(key, MOST_NUMBERS + 1) <= width <= MOST_NUMBERS:
                least = ", ".join(f"{name} from {number}" for name, number in needed.items())
                raise ValueError(
                    f"widths must map keys to whole numbers up to {MOST_NUMBERS} ({least}), got {dict(self.widths)}"
                )


def columns_of(selection: Selection, width: int) -> list[tuple[str, slice]]:
    """The keys that `selection` names, and which columns of each; a key without brackets stands for its first `width`.

    Raises ValueError for columns by name, and for a list with a key without brackets.
    """
    single = one_by_one(selection)
    if single is None:
        if isinstance(selection, str):
            return [(key_of(selection), slice(0, width))]
        raise ValueError(f"{list(selection)!r} must name columns in each part of a list, such as key[0:3]")
    found: list[tuple[str, slice]] = []
    for part in single:
        index = part[len(key_of(part)) + 1 : -1]
        if not index.isdecimal() or int(index) >= MOST_NUMBERS:
            raise ValueError(f"{part!r} must name a column by its number below {MOST_NUMBERS}, such as key[3]")
        found.append((key_of(part), slice(int(index), int(index) + 1)))
    return found
