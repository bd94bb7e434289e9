"""Converts depth aligned by `rs.align` to distances along the colour camera's axis.

librealsense's align moves a depth pixel to the colour pixel that sees the same point, but leaves its value: the point's
distance along the axis of the depth sensor. Turned by a degree, that is wrong by 5 mm at 0.3 m aside.
"""

import numpy as np

from ocrrl.interface.frames import Intrinsics


class ColourDepth:
    """Turns aligned depth into depth along the colour camera's axis.

    With p_colour = R p_depth + t, and z r the point on a colour pixel's ray r = (x, y, 1):
    z_depth = (Rᵀ(z r - t))_z, so z = (z_depth + (Rᵀt)_z) / (Rᵀr)_z.
    """

    def __init__(self, intrinsics: Intrinsics, rotation: np.ndarray, translation: np.ndarray) -> None:
        """`rotation` (3, 3) and `translation` (3,) [m] take a point of the depth sensor to the colour camera of `intrinsics`."""
        x = (np.arange(intrinsics.width) - intrinsics.cx) / intrinsics.fx
        y = (np.arange(intrinsics.height) - intrinsics.cy) / intrinsics.fy
        axis = rotation[:, 2]  # of the depth sensor, in the colour camera's frame
        self._along = (axis[0] * x[None] + axis[1] * y[:, None] + axis[2]).astype(np.float32)
        self._ahead = np.float32(axis @ translation)

    def of(self, depth: np.ndarray) -> np.ndarray:
        """Of aligned `depth` (H, W) float32 [m]; what is 0 stays 0."""
        return np.where(depth > 0, (depth + self._ahead) / self._along, np.float32(0))
