"""Compresses a camera's image for a viewer's file."""

import cv2
import numpy as np
from jaxtyping import UInt8

JPEG_QUALITY = 95


def jpeg(image: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """The RGB image as JPEG with colour at full resolution: at half, an object of a few pixels loses its colour."""
    sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return _encoded(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, *sampling])


def png(image: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """The RGB image as PNG, to the byte."""
    return _encoded(".png", image, [])


def _encoded(suffix: str, image: np.ndarray, parameters: list[int]) -> bytes:
    done, content = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), parameters)
    if not done:
        raise ValueError(f"an image must be one that OpenCV encodes as {suffix}, got {image.shape}")
    return content.tobytes()
