"""Object poses (..., 7): position [m] then wxyz unit quaternion, robot base frame; symmetric objects made canonical.

A symmetry is the set of rotations (S, 4) of the object's own frame that leave it looking the same, the identity included.
"""

import numpy as np

from ocrrl.interface import rotations

Symmetry = tuple[tuple[float, float, float, float], ...]

NO_SYMMETRY: Symmetry = ((1.0, 0.0, 0.0, 0.0),)


def square_prism_symmetry() -> Symmetry:
    """The 8 rotations of a box with square ends whose long axis is x: quarter turns about x, with and without a flip."""
    quarter = _turns(np.array([1.0, 0.0, 0.0]), 4)
    flip = np.array([0.0, 0.0, 0.0, 1.0])
    return _symmetry(quarter + [rotations.multiply(flip, q) for q in quarter])


def cube_symmetry() -> Symmetry:
    """The 24 rotations of a cube: any face up, in quarter turns about it."""
    half = np.sqrt(0.5)
    faces = [
        (1, 0, 0, 0),
        (half, half, 0, 0),
        (0, 1, 0, 0),
        (half, -half, 0, 0),
        (half, 0, half, 0),
        (half, 0, -half, 0),
    ]
    quarter = _turns(np.array([0.0, 0.0, 1.0]), 4)
    return _symmetry([rotations.multiply(np.array(face, float), q) for face in faces for q in quarter])


def axial_symmetry(folds: int = 36) -> Symmetry:
    """`folds` rotations about z, for a body of revolution; its ends differ."""
    return _symmetry(_turns(np.array([0.0, 0.0, 1.0]), folds))


def _turns(axis: np.ndarray, count: int) -> list[np.ndarray]:
    return [rotations.from_rotation_vector(2.0 * np.pi * k / count * axis) for k in range(count)]


def _symmetry(group: list[np.ndarray]) -> Symmetry:
    return tuple((float(w), float(x), float(y), float(z)) for w, x, y, z in np.round(group, 12))


def canonical_quaternion(quaternion: np.ndarray, symmetry: Symmetry, reference: np.ndarray) -> np.ndarray:
    """The symmetric equivalent of `quaternion` (..., 4) nearest to `reference` (..., 4), in its hemisphere.

    Training and deployment pass the same references: the task's at an episode's start, then the previous answer
    (continuity), so that a symmetric object's pose never jumps.
    """
    candidates = rotations.multiply(quaternion[..., None, :], np.asarray(symmetry, quaternion.dtype))
    reference = np.broadcast_to(reference, quaternion.shape)
    closeness = np.abs((candidates * reference[..., None, :]).sum(-1))
    best = np.take_along_axis(candidates, closeness.argmax(-1)[..., None, None], axis=-2)[..., 0, :]
    return rotations.nearest_sign(best, reference)
