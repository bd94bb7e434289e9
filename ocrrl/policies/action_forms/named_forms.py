"""The forms of policies that others publish, by name. A file names one with `form:` and changes what differs."""

from collections.abc import Mapping
from typing import Any

STEPS = "steps"

NAMED_FORMS: Mapping[str, Mapping[str, Any]] = {
    # Ours (ocrrl.interface.actions); what `ocrrl export` writes by default.
    STEPS: {"command_position": "actions[0:3]", "command_rotation": "actions[3:6]"},
    # Ours, by the keys of GR00T's OXE_DROID head and of the modality.json that `ocrrl export --gr00t` writes.
    "gr00t_steps": {
        "command_position": "eef_position_delta",
        "command_rotation": "eef_rotation_delta",
        "gripper_command": "gripper_position",
    },
    # The paper's authors: absolute targets, the gripper's width in metres.
    "gr00t_poses": {
        "actions": "poses",
        "command_position": "eef_position",
        "command_rotation": "eef_rotation",
        "command_rotation_form": "quaternion_xyzw",
        "gripper_command": "gripper_width",
        "gripper_open": 0.08,
    },
    # GR00T N1.6, N1.7: xyz and two rows of the matrix, in the frame of the state that was sent.
    "gr00t_eef_offsets": {
        "actions": "offsets",
        "command_position": "eef_9d[0:3]",
        "command_rotation": "eef_9d[3:9]",
        "command_rotation_form": "rotation_6d_rows",
        "gripper_command": "gripper_position",
    },
    # X-VLA: xyz, two columns of the matrix, 1 closed.
    "xvla_poses": {
        "actions": "poses",
        "command_position": "actions[0:3]",
        "command_rotation": "actions[3:9]",
        "command_rotation_form": "rotation_6d",
        "gripper_command": "actions[9]",
        "gripper_closed": 1.0,
        "gripper_open": 0.0,
        "gripper_binary": True,
        "widths": {"actions": 20},
    },
    # LIBERO: robosuite's OSC_POSE at its default output_max (0.05 m, 0.5 rad), gripper -1 open, 1 closed.
    "libero": {
        "command_position": "actions[0:3]",
        "command_rotation": "actions[3:6]",
        "position_scale": 0.05,
        "rotation_scale": 0.5,
        "gripper_closed": 1.0,
        "gripper_open": -1.0,
        "gripper_binary": True,
    },
    # pi0, pi0.5 on a Franka: joint targets, gripper 0 open, 1 closed.
    "franka_joint_positions": {
        "actions": "joint_positions",
        "joint_command": "actions[0:7]",
        "gripper_command": "actions[7]",
        "gripper_closed": 1.0,
        "gripper_open": 0.0,
    },
    # DROID: a velocity of 1 is 0.2 rad in one step of 1/15 s.
    "droid_joint_velocities": {
        "actions": "joint_velocities",
        "hz": 15.0,
        "joint_command": "actions[0:7]",
        "joint_scale": 3.0,
        "gripper_command": "actions[7]",
        "gripper_closed": 1.0,
        "gripper_open": 0.0,
    },
}
