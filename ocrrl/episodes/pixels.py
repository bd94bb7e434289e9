"""Blurs and resizes images: by OpenCV, and by numpy where it is not installed, as in the base package.

Both blur to the same bytes; resized values differ by one level at most. Every stage needs the extra `train`, which has OpenCV.
"""

import numpy as np
from jaxtyping import Float, UInt8

try:
    import cv2
except ModuleNotFoundError:  # a broken one is an error: stages are to give the same bytes everywhere
    cv2 = None

_BLUR = 5


def blurred(image: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    """The mean of the 5 x 5 pixels about each; at the edge the image is mirrored about its outermost pixels."""
    return cv2.blur(image, (_BLUR, _BLUR)) if cv2 is not None else blurred_by_numpy(image)


def resized(image: UInt8[np.ndarray, "H W 3"], height: int, width: int) -> UInt8[np.ndarray, "h w 3"]:
    """Each pixel the mean of the area that it stands for; interpolated where the image grows in either direction."""
    if cv2 is None:
        return resized_by_numpy(image, height, width)
    smaller = height <= image.shape[0] and width <= image.shape[1]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def blurred_by_numpy(image: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    """`blurred` without OpenCV."""
    total, reach = image.astype(np.int32), _BLUR // 2
    for axis in (0, 1):
        length = image.shape[axis]
        places = np.arange(-reach, length + reach)
        period = max(2 * (length - 1), 1)
        mirrored = np.minimum(places % period, period - places % period) if length > 1 else np.zeros_like(places)
        padded = np.take(total, mirrored, axis=axis)
        total = sum(np.take(padded, range(start, start + length), axis=axis) for start in range(_BLUR))
    return np.rint(total / _BLUR**2).astype(np.uint8)


def resized_by_numpy(image: UInt8[np.ndarray, "H W 3"], height: int, width: int) -> UInt8[np.ndarray, "h w 3"]:
    """`resized` without OpenCV."""
    smaller = height <= image.shape[0] and width <= image.shape[1]
    weights = _area if smaller else _linear
    rows, columns = weights(image.shape[0], height), weights(image.shape[1], width)
    return np.clip(np.rint(np.einsum("hH,HWc,wW->hwc", rows, image, columns, optimize=True)), 0, 255).astype(np.uint8)


def _area(before: int, after: int) -> Float[np.ndarray, "after before"]:
    """Share of each old pixel in each new one."""
    edges, step = np.arange(before), before / after
    start = np.arange(after)[:, None] * step
    overlap = np.minimum(start + step, edges + 1) - np.maximum(start, edges)
    return np.clip(overlap, 0, None) / step


def _linear(before: int, after: int) -> Float[np.ndarray, "after before"]:
    """Weights of the two old pixels whose centres are nearest to each new centre."""
    centre = np.clip((np.arange(after) + 0.5) * before / after - 0.5, 0, before - 1)[:, None]
    return np.clip(1 - np.abs(centre - np.arange(before)), 0, None)
