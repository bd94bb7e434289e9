"""Compresses a camera's image for a viewer's file."""

from io import BytesIO

import numpy as np
from jaxtyping import UInt8
from PIL import Image

JPEG_QUALITY = 95


def jpeg(image: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """The RGB image as JPEG with colour at full resolution: at half, an object of a few pixels loses its colour."""
    content = BytesIO()
    Image.fromarray(image).save(content, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return content.getvalue()


def png(image: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """The RGB image as PNG, to the byte."""
    content = BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()
