"""Camera images of a cell for the VLA; a failed camera repeats its last image."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8

from ocrrl.interface.observations import Images
from ocrrl.perception.cameras.frames import FrameSource


@dataclass(frozen=True)
class CameraView:
    """The part of a camera's image from the upper left pixel (`x0`, `y0`) on, and what is made of it, all in pixels."""

    x0: int
    y0: int
    height: int
    width: int
    image_height: int
    image_width: int

    @classmethod
    def around(cls, left: int, top: int, square: int, image: tuple[int, int]) -> "CameraView":
        """The view whose image has the height and width `image`: as high as the `square` of a cell file, and about its centre.

        So the field of view upwards is the square's for every shape of image, as it is in the simulators.
        """
        width = round(square * image[1] / image[0])
        return cls(left + (square - width) // 2, top, square, width, *image)

    def __post_init__(self) -> None:
        if not 0 < self.image_height <= self.height:
            raise ValueError(
                f"a camera view's image must be 1 to {self.height} pixels high, the view's height, got {self.image_height}: "
                "enlarging adds nothing"
            )

    def check_resolution(self, width: int, height: int) -> None:
        """ValueError unless the view lies inside an image of `width` x `height` pixels."""
        if min(self.x0, self.y0) < 0 or self.x0 + self.width > width or self.y0 + self.height > height:
            raise ValueError(
                f"a camera view must be inside the image of {width} x {height} pixels, got x {self.x0} to "
                f"{self.x0 + self.width}, y {self.y0} to {self.y0 + self.height}: move the square of the cell file, make it "
                "smaller, or declare a narrower image"
            )


def view_of(colour: UInt8[np.ndarray, "H W 3"], view: CameraView) -> UInt8[np.ndarray, "h w 3"]:
    """The image (h, w, 3) that `view` takes of `colour`; each pixel is the mean of the area that it stands for.

    Raises ValueError if the view does not lie inside the image.
    """
    height, width = colour.shape[:2]
    view.check_resolution(width, height)
    part = colour[view.y0 : view.y0 + view.height, view.x0 : view.x0 + view.width]
    return cv2.resize(part, (view.image_width, view.image_height), interpolation=cv2.INTER_AREA)


@dataclass(frozen=True)
class CellCamera:
    """An open camera, the part of its image that a VLA sees, and where it stands, for an episode's attributes."""

    frames: FrameSource
    view: CameraView | None
    """None where the VLA does not see it: it is there for the tracker."""
    calibration: Mapping[str, object]


class CellImages:
    """The images of those `cameras` that a VLA sees, by their names."""

    def __init__(self, cameras: Mapping[str, CellCamera]) -> None:
        self._views = {name: camera.view for name, camera in cameras.items() if camera.view is not None}
        self._all, self._cameras = cameras, {name: cameras[name] for name in self._views}
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
                self._images[name] = view_of(frame.colour, self._views[name])[None]
            images[name] = self._images[name]
        return images

    def begun(self) -> bool:
        """Whether every camera has an image; keeps the first ones. RuntimeError where one has failed."""
        frames = {name: camera.frames.latest() for name, camera in self._cameras.items()}
        self._images = {n: view_of(f.colour, self._views[n])[None] for n, f in frames.items() if f is not None}
        return len(self._images) == len(self._cameras)

    def calibration(self) -> dict[str, dict[str, object]]:
        """Where the cameras stand, the tracker's too, for an episode's attributes."""
        return {name: dict(camera.calibration) for name, camera in self._all.items()}
