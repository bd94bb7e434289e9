"""Unit quaternions, wxyz, batched over leading axes; numpy or torch.

Legend: q (..., 4) unit quaternion wxyz; v (..., 3) vector; r (..., 3) rotation vector [rad]. Products are Hamilton's.
"""

import sys
from types import ModuleType
from typing import Any

import numpy as np

_TINY = 1e-12


def array_namespace(array: Any) -> ModuleType:
    """The module (`numpy` or `torch`) whose functions act on `array`; torch is never imported for a numpy array."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        return torch
    return np


def multiply(a: Any, b: Any) -> Any:
    """Hamilton product a ⊗ b (..., 4): rotates by b first, then by a, when both act in a fixed frame."""
    xp = array_namespace(a)
    aw, ax, ay, az = a[..., 0], a[..., 1], a[..., 2], a[..., 3]
    bw, bx, by, bz = b[..., 0], b[..., 1], b[..., 2], b[..., 3]
    return xp.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )


def conjugate(q: Any) -> Any:
    """The inverse rotation of a unit quaternion (..., 4)."""
    xp = array_namespace(q)
    return xp.concatenate([q[..., :1], -q[..., 1:]], axis=-1)


def normalise(q: Any) -> Any:
    """`q` (..., 4) scaled to unit length."""
    xp = array_namespace(q)
    return q / xp.sqrt((q * q).sum(axis=-1, keepdims=True) + _TINY**2)


def rotate(q: Any, v: Any) -> Any:
    """`v` (..., 3) rotated by `q` (..., 4): v + 2w(u × v) + 2u × (u × v) with u the vector part."""
    xp = array_namespace(q)
    u = q[..., 1:]
    t = 2.0 * xp.linalg.cross(u, v)
    return v + q[..., :1] * t + xp.linalg.cross(u, t)


def from_rotation_vector(r: Any) -> Any:
    """Exponential map: rotation vector (..., 3) [rad] to quaternion (..., 4); smooth at zero."""
    xp = array_namespace(r)
    angle = xp.sqrt((r * r).sum(axis=-1, keepdims=True) + _TINY)
    half = 0.5 * angle
    return xp.concatenate([xp.cos(half), r * (xp.sin(half) / angle)], axis=-1)


def to_rotation_vector(q: Any) -> Any:
    """Logarithmic map: quaternion (..., 4) to the rotation vector (..., 3) of length at most pi [rad]; smooth at zero."""
    xp = array_namespace(q)
    q = xp.where(q[..., :1] < 0, -q, q)
    u = q[..., 1:]
    sine = xp.sqrt((u * u).sum(axis=-1, keepdims=True) + _TINY)
    return u * (2.0 * xp.arctan2(sine, q[..., :1]) / sine)


def nearest_sign(q: Any, reference: Any) -> Any:
    """`q` or `-q`, the one in the hemisphere of `reference` (..., 4): the same rotation, a continuous number."""
    xp = array_namespace(q)
    dot = (q * reference).sum(axis=-1, keepdims=True)
    return xp.where(dot < 0, -q, q)


def angle_between(a: Any, b: Any) -> Any:
    """Angle [rad] (...,) of the rotation that takes `a` to `b`, in [0, pi]."""
    xp = array_namespace(a)
    dot = xp.clip(xp.abs((a * b).sum(axis=-1)), 0.0, 1.0)
    return 2.0 * xp.arccos(dot)


def turn_between(first: Any, second: Any) -> Any:
    """Rotation vector (..., 3) [rad] from the orientation `first` (..., 4) to `second` (..., 4), in the base frame."""
    return to_rotation_vector(multiply(second, conjugate(first)))


def to_matrix(q: Any) -> Any:
    """Rotation matrix (..., 3, 3) of `q` (..., 4)."""
    xp = array_namespace(q)
    w, x, y, z = q[..., 0], q[..., 1], q[..., 2], q[..., 3]
    return xp.stack(
        [
            xp.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], axis=-1),
            xp.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], axis=-1),
            xp.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], axis=-1),
        ],
        axis=-2,
    )


def from_matrix(matrix: Any) -> Any:
    """The quaternion (..., 4) of a rotation matrix (..., 3, 3), numpy, by the largest of four candidates (Shepperd 1978)."""
    m00, m11, m22 = matrix[..., 0, 0], matrix[..., 1, 1], matrix[..., 2, 2]
    squares = np.stack([1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22], axis=-1)
    a, b, c = (matrix[..., 2, 1], matrix[..., 0, 2], matrix[..., 1, 0])
    d, e, f = (matrix[..., 1, 2], matrix[..., 2, 0], matrix[..., 0, 1])
    rows = np.stack(
        [
            np.stack([squares[..., 0], a - d, b - e, c - f], axis=-1),
            np.stack([a - d, squares[..., 1], c + f, b + e], axis=-1),
            np.stack([b - e, c + f, squares[..., 2], a + d], axis=-1),
            np.stack([c - f, b + e, a + d, squares[..., 3]], axis=-1),
        ],
        axis=-2,
    )
    best = np.take_along_axis(rows, squares.argmax(-1)[..., None, None], axis=-2)[..., 0, :]
    return best / np.linalg.norm(best, axis=-1, keepdims=True)
