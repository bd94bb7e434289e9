"""Which pixels are the robot's, from where its joints are: forearm, wrist, hand and fingers as capsules.

The capsules are an FR3's with the Franka Hand; joint axes come from any `ArmKinematics`. Legend: a capsule is a row (7,):
two ends [m] in the base frame and a radius [m]; gripper frame: between the fingertips, y the closing axis, z the approach.
"""

import numpy as np
from jaxtyping import Float

from ocrrl.interface import rotations
from ocrrl.interface.kinematics import ArmKinematics
from ocrrl.interface.protocols import RobotPosture
from ocrrl.perception.tracking.fitting.compiled import compiled
from ocrrl.perception.tracking.fitting.pixels import OBJECT, ROBOT, Pixels

FOREARM = (0.30, 0.07)  # [m]: length from the wrist back, radius
WRIST = 0.065  # [m], radius from the wrist's centre to the flange
HAND_ROD = ((-0.075, 0.075), (-0.085, -0.055), 0.034)  # [m]: y from, to; z of two rods; radius
FINGER = ((-0.055, -0.030, 0.013), (-0.035, 0.000, 0.0095))  # [m]: z from, to, radius
FINGER_BEHIND_PAD = 0.0105  # [m] of a finger's middle from the face of its pad
MARGIN = 0.006  # [m]


def robot_capsules(kinematics: ArmKinematics, robot: RobotPosture) -> Float[np.ndarray, "K 7"]:
    """The arm from the forearm on, as it is at `robot`."""
    poses, jacobians = kinematics.jacobian(np.asarray(robot.joint_positions, float)[None])
    tcp, turn, jacobian = poses[0, :3], rotations.to_matrix(poses[0, 3:]), jacobians[0]
    axes = jacobian[3:].T
    feet = tcp - np.cross(jacobian[:3].T, axes)  # the point of each joint's axis nearest to the gripper frame
    wrist = feet[5] + axes[5] * _along(feet[5], axes[5], feet[4], axes[4])
    last = feet[6] + axes[6] * float(axes[6] @ (wrist - feet[6]))
    elbow = wrist - axes[4] * FOREARM[0] * np.sign(axes[4] @ (wrist - feet[1]))  # feet[1] is near the shoulder
    flange = tcp + turn @ (0.0, 0.0, -0.11)

    def in_gripper(x: float, y: float, z: float) -> np.ndarray:
        return tcp + turn @ (x, y, z)

    capsules = [
        np.concatenate([elbow, wrist, [FOREARM[1]]]),
        np.concatenate([wrist, last, [WRIST]]),
        np.concatenate([last, flange, [WRIST]]),
    ]
    (left, right), heights, radius = HAND_ROD
    capsules += [np.concatenate([in_gripper(0, left, z), in_gripper(0, right, z), [radius]]) for z in heights]
    for side in (-1.0, 1.0):
        y = side * (robot.gripper_width / 2 + FINGER_BEHIND_PAD)
        capsules += [np.concatenate([in_gripper(0, y, low), in_gripper(0, y, high), [r]]) for low, high, r in FINGER]
    return np.stack(capsules)


def mark_robot(pixels: Pixels, code: np.ndarray, capsules: np.ndarray, trust_colour: bool) -> None:
    """Write ROBOT into the `code` (n,) of the pixels that show the robot, or where it stands and nothing was measured.

    With `trust_colour` pixels of the object's colour are left alone: what the hand holds touches its fingers, and only
    an object as white or black as the robot can be mistaken for it.
    """
    _mark(pixels.camera, pixels.rays, pixels.depth, code, capsules, MARGIN, trust_colour)


def _along(a: np.ndarray, u: np.ndarray, b: np.ndarray, v: np.ndarray) -> float:
    """Where on the line a + s u it is nearest to the line b + t v."""
    w, uv = a - b, float(u @ v)
    return float((uv * (v @ w) - u @ w) / max(1.0 - uv * uv, 1e-9))


@compiled
def _mark(camera, rays, depth, code, capsules, margin, trust_colour):
    for c in range(len(capsules)):
        reach = capsules[c, 6] + margin
        if not _in_view(camera, rays, capsules[c], reach):
            continue
        kx, ky, kz = capsules[c, 3] - capsules[c, 0], capsules[c, 4] - capsules[c, 1], capsules[c, 5] - capsules[c, 2]
        wx, wy, wz = capsules[c, 0] - camera[0], capsules[c, 1] - camera[1], capsules[c, 2] - camera[2]
        kk, kw = kx * kx + ky * ky + kz * kz, kx * wx + ky * wy + kz * wz
        for i in range(len(depth)):
            if code[i] == ROBOT or (trust_colour and code[i] == OBJECT):
                continue
            dx, dy, dz = rays[i, 0], rays[i, 1], rays[i, 2]
            dd, dk, dw = dx * dx + dy * dy + dz * dz, dx * kx + dy * ky + dz * kz, dx * wx + dy * wy + dz * wz
            # Nearest points of the ray camera + t d and of the segment w + s k.
            det = dd * kk - dk * dk
            s = (dk * dw - dd * kw) / det if det > 1e-12 else 0.0
            s = min(max(s, 0.0), 1.0)
            t = (dw + s * dk) / dd
            gx, gy, gz = wx + s * kx - t * dx, wy + s * ky - t * dy, wz + s * kz - t * dz
            if gx * gx + gy * gy + gz * gz > reach * reach:
                continue
            z = depth[i]
            if z > 0.0:
                s = min(max((z * dk - kw) / kk, 0.0), 1.0)
                gx, gy, gz = wx + s * kx - z * dx, wy + s * ky - z * dy, wz + s * kz - z * dz
                if gx * gx + gy * gy + gz * gz > reach * reach:
                    continue
            code[i] = ROBOT


@compiled
def _in_view(camera, rays, capsule, reach):
    """Whether the capsule may meet a ray of the window: the ball around it against the cone around the window."""
    centre = 0.5 * (rays[0] + rays[len(rays) - 1])
    unit = centre / np.sqrt(centre @ centre)
    widest = 1.0
    for i in (0, len(rays) - 1):
        widest = min(widest, rays[i] @ unit / np.sqrt(rays[i] @ rays[i]))
    axis = capsule[3:6] - capsule[:3]
    ball = 0.5 * (capsule[:3] + capsule[3:6]) - camera
    radius = reach + 0.5 * np.sqrt(axis @ axis)
    distance = np.sqrt(ball @ ball)
    if distance <= radius:
        return True
    angle = np.arccos(min(max((ball @ unit) / distance, -1.0), 1.0))
    return angle < np.arccos(min(widest, 1.0)) + np.arcsin(radius / distance)
