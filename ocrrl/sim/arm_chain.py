"""The FR3's kinematic chain from the compiled scene, so that scene and kinematics agree."""

# pyright: reportAttributeAccessIssue=false
import mujoco
import numpy as np

from ocrrl.interface import rotations
from ocrrl.interface.kinematics import Chain

TCP_IN_HAND = (0.0, 0.0, 0.1034)  # [m], between the fingertips (Franka Hand manual)


def arm_chain(model: mujoco.MjModel) -> Chain:
    """From the base to the gripper frame between the fingertips."""
    bodies = [model.body(f"fr3_link{i}").id for i in range(1, 8)]
    hand = model.body("hand").id
    hand_quaternion = rotations.normalise(model.body_quat[hand].astype(float))
    tcp = model.body_pos[hand] + rotations.rotate(hand_quaternion, np.asarray(TCP_IN_HAND))
    joints = [model.joint(f"fr3_joint{i}").id for i in range(1, 8)]
    return Chain(
        link_positions=model.body_pos[bodies].copy(),
        link_quaternions=model.body_quat[bodies].copy(),
        gripper_pose=np.concatenate([tcp, hand_quaternion]),
        joint_limits=model.jnt_range[joints].copy(),
    )
