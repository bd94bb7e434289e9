"""Camera images of a cell for the VLA; a failed camera repeats its last image."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8

from ocrrl.interface.observations import Images
from ocrrl.perception.cameras.frames import FrameSource

IMAGE_SIZE = 64
"""[pixels] of what a VLA sees, as in the twin and the training simulator."""


@dataclass(frozen=True)
class CameraView:
    """The square of `size` pixels whose upper left pixel is (`x0`, `y0`), and the side of what is made of it [pixels]."""

    x0: int
    y0: int
    size: int
    image_size: int

    def __post_init__(self) -> None:
        if self.x0 < 0 or self.y0 < 0:
            raise ValueError(f"a camera view's x0 and y0 must be at least 0, got ({self.x0}, {self.y0})")
        if not 0 < self.image_size <= self.size:
            raise ValueError(
                f"a camera view's image_size must be in [1, size {self.size}], got {self.image_size}: enlarging adds nothing"
            )

    def check_resolution(self, width: int, height: int) -> None:
        """ValueError unless the square lies inside an image of `width` x `height` pixels."""
        if self.x0 + self.size > width or self.y0 + self.size > height:
            raise ValueError(
                f"a camera view must be inside the image of {width}x{height} pixels, got x {self.x0} to "
                f"{self.x0 + self.size}, y {self.y0} to {self.y0 + self.size}: change x0, y0 or size"
            )


def view_of(colour: UInt8[np.ndarray, "H W 3"], view: CameraView) -> UInt8[np.ndarray, "S S 3"]:
    """The image (S, S, 3) that `view` takes of `colour`; each pixel is the mean of the area that it stands for.

    Raises ValueError if the square does not lie inside the image.
    """
    height, width = colour.shape[:2]
    view.check_resolution(width, height)
    square = colour[view.y0 : view.y0 + view.size, view.x0 : view.x0 + view.size]
    return cv2.resize(square, (view.image_size, view.image_size), interpolation=cv2.INTER_AREA)


@dataclass(frozen=True)
class CellCamera:
    """An open camera, the part of its image that a VLA sees, and where it stands, for an episode's attributes."""

    frames: FrameSource
    view: CameraView
    calibration: Mapping[str, object]


class CellImages:
    """The images of `cameras`, by their names."""

    def __init__(self, cameras: Mapping[str, CellCamera]) -> None:
        self._cameras = cameras
        self._images: Images = {}

    def latest(self, on_failure: Callable[[str], None]) -> Images:
        """One image a camera; `on_failure` gets what a camera says that gives none any more, whose last one it is then."""
        images = {}
        for name, camera in self._cameras.items():
            frame = None
            try:
                frame = camera.frames.latest()
            except RuntimeError as error:
                on_failure(f"camera {name}: {error}")
            if frame is not None:
                self._images[name] = view_of(frame.colour, camera.view)[None]
            images[name] = self._images[name]
        return images

    def begun(self) -> bool:
        """Whether every camera has an image; keeps the first ones. RuntimeError where one has failed."""
        frames = {name: camera.frames.latest() for name, camera in self._cameras.items()}
        self._images = {n: view_of(f.colour, self._cameras[n].view)[None] for n, f in frames.items() if f is not None}
        return len(self._images) == len(self._cameras)

    def calibration(self) -> dict[str, dict[str, object]]:
        """Where the cameras stand, for an episode's attributes."""
        return {name: dict(camera.calibration) for name, camera in self._cameras.items()}
