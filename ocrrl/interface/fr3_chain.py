"""Kinematic chain of the FR3 with the Franka Hand, from Franka's documents.

Denavit-Hartenberg parameters and joint limits: Franka Control Interface documentation, "Robot and interface
specifications", FR3. Tests hold the chain to the scene's.
"""

import numpy as np

from ocrrl.interface import rotations
from ocrrl.interface.kinematics import ArmKinematics, Chain

# Of Craig's convention: link i in link i - 1 is a turn by alpha about x, a step a along x and a step d along the new z.
A = (0.0, 0.0, 0.0, 0.0825, -0.0825, 0.0, 0.088)  # [m]
D = (0.333, 0.0, 0.316, 0.0, 0.384, 0.0, 0.0)  # [m]
ALPHA = tuple(quarter * np.pi / 2 for quarter in (0, -1, 1, 1, -1, 1, 1))  # [rad]
FLANGE = 0.107  # [m] from the last joint along its axis
HAND_YAW = -np.pi / 4  # [rad] of the hand on the flange
TCP = 0.1034  # [m] from the flange to between the fingertips
JOINT_LIMITS = np.array(
    [
        [-2.7437, 2.7437],
        [-1.7837, 1.7837],
        [-2.9007, 2.9007],
        [-3.0421, -0.1518],
        [-2.8065, 2.8065],
        [0.5445, 4.5169],
        [-3.0159, 3.0159],
    ]
)  # [rad]
JOINT_SPEEDS = (2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26)  # [rad/s], the limits of the same document


def fr3_chain() -> Chain:
    """From the base to the gripper frame between the fingertips."""
    turns = np.stack([ALPHA, np.zeros(7), np.zeros(7)], axis=-1)
    quaternions = rotations.from_rotation_vector(turns)
    steps = np.stack([A, np.zeros(7), np.zeros(7)], axis=-1)
    along_z = rotations.rotate(quaternions, np.stack([np.zeros(7), np.zeros(7), D], axis=-1))
    hand = rotations.from_rotation_vector(np.array([0.0, 0.0, HAND_YAW]))
    return Chain(
        link_positions=steps + along_z,
        link_quaternions=quaternions,
        gripper_pose=np.concatenate([[0.0, 0.0, FLANGE + TCP], hand]),
        joint_limits=JOINT_LIMITS,
    )


FR3 = ArmKinematics(fr3_chain())
