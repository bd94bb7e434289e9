"""A pose brought nearer to another one, on the straight way between them."""

import numpy as np

from ocrrl.interface import rotations


def pulled_towards(origin: np.ndarray, pose: np.ndarray, distance: float, angle: float) -> np.ndarray:
    """`pose` (7,), brought to within `distance` [m] and `angle` [rad] of `origin` (7,) on the straight way between them."""
    offset, turn = pose[:3] - origin[:3], rotations.turn_between(origin[3:], pose[3:])
    offset = offset * min(1.0, distance / max(float(np.linalg.norm(offset)), 1e-12))
    turn = turn * min(1.0, angle / max(float(np.linalg.norm(turn)), 1e-12))
    turned = rotations.multiply(rotations.from_rotation_vector(turn), origin[3:])
    return np.concatenate([origin[:3] + offset, rotations.normalise(turned)])
