"""The frame of an RGB-D camera: pixels, depth, capture time and camera pose.

A camera's optical frame: x to the right of the image, y down, z into the scene (OpenCV's).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera without distortion, in pixels; pixel centres are at whole numbers."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0 or not (self.fx > 0 and self.fy > 0):
            raise ValueError(f"width, height, fx and fy must be above 0, got {self}")


@dataclass(frozen=True)
class Frame:
    """Colour and the depth aligned to it, taken at one instant."""

    colour: UInt8[np.ndarray, "H W 3"]
    """RGB."""
    depth: Float[np.ndarray, "H W"]
    """Along the optical axis [m], float32; 0 where the sensor saw nothing."""
    captured: float
    """When the exposure was, on the clock of the cell's arm [s]."""
    intrinsics: Intrinsics
    camera_pose: Float[np.ndarray, " 7"]
    """Of the optical frame in the robot base frame: position [m], wxyz."""
