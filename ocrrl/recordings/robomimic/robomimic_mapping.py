"""The mapping of a robomimic demonstration.

robosuite gives poses in its world frame, quaternions as xyzw, gripper commands -1 open to +1 closed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from ocrrl.interface import rotations
from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.interface.field_selection import Selection
from ocrrl.interface.rigid import NOWHERE, Numbers, check_pose
from ocrrl.recordings.meaning.foreign_mapping import ForeignMapping
from ocrrl.recordings.meaning.gripper_command import GripperDeclaration
from ocrrl.recordings.meaning.rotation_forms import PoseDeclaration

QUATERNION_ORDERS = ("xyzw", "wxyz")
USUAL_COMMAND = "actions[6]"
UNTURNED: Numbers = (1.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class RobomimicMapping(ForeignMapping):
    """Selections are of keys under `obs/`, or of a demonstration's own arrays, such as `actions[6]`."""

    position: Selection | None = "robot0_eef_pos"
    quaternion: Selection | None = "robot0_eef_quat"
    """Of the gripper, in `quaternion_order`; `rotation`, in `rotation_form`, goes before it."""
    quaternion_order: str = "xyzw"
    rotation_form: str = ""
    """Of `rotation` and of the objects' poses; empty: quaternions in `quaternion_order`."""
    joint_positions: Selection | None = "robot0_joint_pos"
    gripper_width: Selection = "robot0_gripper_qpos"
    gripper_command: Selection = USUAL_COMMAND
    """+1 closed and -1 open, as robosuite has it, unless `gripper_closed` and `gripper_open` say otherwise."""
    object_poses: Mapping[str, Selection] = field(default_factory=dict)
    """Object name to position and quaternion (7 numbers), such as `object[0:7]`; none: not for replay."""
    action_scale: tuple[float, ...] = (0.05, 0.05, 0.05, 0.5, 0.5, 0.5)
    """For `actions: deltas`, the controller's output_max: metres and radians that an action of 1 stands for."""
    control_hz: float | None = None
    """None: what the file's env_args say; a rate that contradicts them is refused."""
    gripper_rotation: Numbers = UNTURNED
    """wxyz, from the recording's gripper frame to ours; `tool_in_gripper` declares the same and an offset, too."""
    operator: str = "robomimic"

    def __post_init__(self) -> None:
        if self.quaternion_order not in QUATERNION_ORDERS:
            raise ValueError(
                f"quaternion_order must be one of {', '.join(QUATERNION_ORDERS)}, got {self.quaternion_order!r}"
            )
        if self.rotation is not None and not self.rotation_form:
            raise ValueError("rotation_form must be declared where rotation is, got an empty text")
        super().__post_init__()
        if len(self.action_scale) != 6 or not all(scale > 0 for scale in self.action_scale):
            raise ValueError(f"action_scale must be 6 numbers above 0, got {list(self.action_scale)}")
        if self.control_hz is not None and not self.control_hz > 0:
            raise ValueError(f"control_hz must be above 0, got {self.control_hz:g}")
        if self.actions == "deltas" and self.control_hz not in (None, CONTROL_HZ):
            raise ValueError(
                f"control_hz must be {CONTROL_HZ} for actions: deltas (or use from_poses), got {self.control_hz:g}"
            )
        if len(self.gripper_rotation) != 4:
            raise ValueError(f"gripper_rotation must be a wxyz quaternion, got {list(self.gripper_rotation)}")
        check_pose("gripper_rotation", (0.0, 0.0, 0.0, *self.gripper_rotation))
        if self.gripper_rotation != UNTURNED and self.tool_in_gripper != NOWHERE:
            raise ValueError("gripper_rotation must be left out where tool_in_gripper is declared, got both")

    @property
    def rotation_selection(self) -> Selection | None:
        """Where the gripper's rotation is."""
        return self.quaternion if self.rotation is None else self.rotation

    @property
    def step_selection(self) -> Selection | None:
        """Where the steps of `actions: deltas` are; None for other sources."""
        return (self.steps or "actions[0:6]") if self.actions == "deltas" else None

    def scaled_steps(self, steps: Float[np.ndarray, "T 6"]) -> Float[np.ndarray, "T 6"]:
        """The controller's actions in metres and radians."""
        return steps * np.array(self.action_scale)

    def pose_declaration(self) -> PoseDeclaration:
        """What is declared of the recorded poses; `gripper_rotation` is the inverse of the tool's turn in the gripper."""
        declared = replace(
            super().pose_declaration(), rotation_form=self.rotation_form or f"quaternion_{self.quaternion_order}"
        )
        if self.gripper_rotation == UNTURNED:
            return declared
        turn = rotations.conjugate(np.array(self.gripper_rotation))
        return replace(declared, tool_in_gripper=(0.0, 0.0, 0.0, *turn.tolist()))

    def gripper_declaration(self) -> GripperDeclaration:
        """What is declared of the gripper: robosuite's own command where nothing is."""
        return replace(super().gripper_declaration(), usual=(1.0, -1.0), strict=True)

    def rotation_line(self, form: str) -> str:
        """The line that declares the rotation to be in `form`."""
        order = form.removeprefix("quaternion_")
        return f"quaternion_order: {order}" if order in QUATERNION_ORDERS else super().rotation_line(form)
