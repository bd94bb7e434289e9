"""A constant transform in words and as a line of a mapping.

Legend: a transform (7,) is position [m] and wxyz unit quaternion.
"""

from itertools import product

import numpy as np
from jaxtyping import Float

from ocrrl.interface import rotations

Transform = Float[np.ndarray, " 7"]

_QUARTER = np.pi / 2
_SNAP_TURN = np.radians(1.5)
_SNAP_SHIFT = 0.002  # [m]
_LEAST_TURN = np.radians(0.5)


def _right_angles() -> Float[np.ndarray, "n 4"]:
    """The 24 turns of a cube, and the same 45 degrees further about z (a hand on its flange)."""
    about_z = [np.array([0.0, 0.0, k * _QUARTER / 2]) for k in range(8)]
    tips = [np.array(v, float) * _QUARTER for v in ((0, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (2, 0, 0))]
    turns = [
        rotations.multiply(rotations.from_rotation_vector(tip), rotations.from_rotation_vector(z))
        for tip, z in product(tips, about_z)
    ]
    return np.stack(turns)


_NEAT = _right_angles()


def rounded(transform: Transform, snap_turn: float = _SNAP_TURN) -> Transform:
    """`transform` with a turn that is nearly one of right angles made that, and a shift of next to nothing none."""
    shift, turn = np.round(transform[:3], 4), rotations.normalise(transform[3:])
    if np.linalg.norm(shift) < _SNAP_SHIFT:
        shift = np.zeros(3)
    off = rotations.angle_between(_NEAT, turn)
    if off.min() < snap_turn:
        turn = _NEAT[off.argmin()]
    turn = np.round(turn, 5) + 0.0
    return np.concatenate([shift, rotations.normalise(turn * (1.0 if turn[np.flatnonzero(turn)[0]] > 0 else -1.0))])


def is_neat(transform: Transform) -> bool:
    """Whether it turns by right angles, as frames do that were taken for one another."""
    return bool(rotations.angle_between(_NEAT, transform[3:]).min() < 1e-4)


def describe_turn(transform: Transform) -> str:
    """`0.103 m away and turned by 90 degrees about z`."""
    shift, vector = transform[:3], rotations.to_rotation_vector(transform[3:])
    angle, parts = float(np.linalg.norm(vector)), []
    if np.linalg.norm(shift) > 0:
        parts.append(f"{np.linalg.norm(shift):.3g} m away ({', '.join(f'{x:.4g}' for x in shift + 0.0)})")
    if angle > _LEAST_TURN:
        axis = vector / angle
        along = int(np.abs(axis).argmax())
        if abs(axis[along]) > 0.99:
            about = f"{np.degrees(angle) * np.sign(axis[along]):.3g} degrees about {'xyz'[along]}"
        else:
            about = f"{np.degrees(angle):.3g} degrees about ({', '.join(f'{x:.2f}' for x in axis)})"
        parts.append(f"turned by {about}")
    return " and ".join(parts) or "where it was declared"


def tool_line(transform: Transform) -> str:
    """The line of a mapping that declares a recorded tool in our gripper's frame."""
    return f"tool_in_gripper: {_numbers(transform)}"


def base_line(transform: Transform) -> str:
    """The line of a mapping that declares the robot's base in the recording's world."""
    return f"base_pose: {_numbers(transform)}"


def _numbers(transform: Transform) -> str:
    return f"[{', '.join(f'{x:.5g}' for x in np.round(rounded(transform, 1e-4), 5) + 0.0)}]"
