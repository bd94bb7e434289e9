"""Resizes recorded images to the size of the cell and the VLA."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from ocrrl.episodes.pixels import resized

FITS = ("pad", "crop")


@dataclass(frozen=True)
class ImageFit:
    """Which cameras are taken, at which size, and how an image of another shape gets there.

    `pad` keeps all of an image and fills up with black; `crop` keeps its middle and fills the frame.
    """

    sizes: Mapping[str, tuple[int, int]]
    """Height and width [pixels] by camera name; a camera that is not named is left out."""
    how: str = "pad"

    def __post_init__(self) -> None:
        if self.how not in FITS:
            raise ValueError(f"image_fit must be one of {', '.join(FITS)}, got {self.how!r}")

    def fit(self, camera: str, image: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """`image` at the size of `camera`, each pixel the mean of the area that it stands for; itself where it has that size."""
        height, width = self.sizes[camera]
        if image.shape[:2] == (height, width):
            return image
        if self.how == "crop":
            return resized(_middle(image, height / width), height, width)
        scale = min(height / image.shape[0], width / image.shape[1])
        inner = (max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale)))
        top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
        fitted = np.zeros((height, width, 3), np.uint8)
        fitted[top : top + inner[0], left : left + inner[1]] = resized(image, *inner)
        return fitted

    def describe(self, camera: str, recorded: tuple[int, int]) -> str | None:
        """What is done to images of `camera` recorded at `recorded` (height, width); None where nothing is."""
        size = self.sizes[camera]
        if tuple(recorded) == tuple(size):
            return None
        how = {"pad": "padded with black", "crop": "cropped to the middle"}[self.how]
        shape = "" if recorded[0] * size[1] == recorded[1] * size[0] else f", {how}"
        return f"images.{camera}: {recorded[0]} x {recorded[1]} made {size[0]} x {size[1]}{shape}"


def _middle(image: np.ndarray, aspect: float) -> np.ndarray:
    """The largest part of `image` about its middle whose height is `aspect` times its width."""
    height, width = image.shape[:2]
    kept_height, kept_width = min(height, round(width * aspect)), min(width, round(height / aspect))
    top, left = (height - kept_height) // 2, (width - kept_width) // 2
    return image[top : top + kept_height, left : left + kept_width]
