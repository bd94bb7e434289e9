"""Undistorts images to those of a pinhole camera."""

import cv2
import numpy as np

from ocrrl.interface.frames import Intrinsics
from ocrrl.perception.realsense import realsense


class Undistortion:
    """Resamples pictures (H, W) and (H, W, 3); the focal lengths and the centre stay as they are.

    Each pixel's ray goes through librealsense's own projection, so that every distortion model which it knows is right.
    """

    def __init__(self, profile_intrinsics) -> None:
        """`profile_intrinsics` are a `pyrealsense2.intrinsics`."""
        project = realsense().rs2_project_point_to_pixel
        given = profile_intrinsics
        self.intrinsics = Intrinsics(given.width, given.height, given.fx, given.fy, given.ppx, given.ppy)
        self._sources: tuple[np.ndarray, np.ndarray] | None = None
        if any(given.coeffs):
            xs = (np.arange(given.width) - given.ppx) / given.fx
            ys = (np.arange(given.height) - given.ppy) / given.fy
            pixels = np.array([[project(given, [x, y, 1.0]) for x in xs] for y in ys], np.float32)
            self._sources = np.ascontiguousarray(pixels[..., 0]), np.ascontiguousarray(pixels[..., 1])

    def colour(self, picture: np.ndarray) -> np.ndarray:
        """Of `picture` (H, W, 3) uint8, between pixels linearly."""
        return self._resampled(picture, cv2.INTER_LINEAR)

    def depth(self, picture: np.ndarray) -> np.ndarray:
        """Of `picture` (H, W), the nearest pixel: depth between an object and what is behind it is nowhere."""
        return self._resampled(picture, cv2.INTER_NEAREST)

    def _resampled(self, picture: np.ndarray, interpolation: int) -> np.ndarray:
        if self._sources is None:
            return picture.copy()  # the frame's memory goes back to the library
        return cv2.remap(picture, *self._sources, interpolation)
