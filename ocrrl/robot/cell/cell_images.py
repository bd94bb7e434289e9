"""Camera images of a cell for the VLA; a failed camera repeats its last image."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ocrrl.interface.observations import Images
from ocrrl.perception.cameras.frames import FrameSource

Image = Callable[[Float[np.ndarray, "H W 3"]], np.ndarray]
"""A camera's colour image to what the VLA sees of it."""


@dataclass(frozen=True)
class CellCamera:
    """An open camera, the part of its image that a VLA sees, and where it stands, for an episode's attributes."""

    frames: FrameSource
    view: Image
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
                self._images[name] = camera.view(frame.colour)[None]
            images[name] = self._images[name]
        return images

    def begun(self) -> bool:
        """Whether every camera has an image; keeps the first ones. RuntimeError where one has failed."""
        frames = {name: camera.frames.latest() for name, camera in self._cameras.items()}
        self._images = {n: self._cameras[n].view(f.colour)[None] for n, f in frames.items() if f is not None}
        return len(self._images) == len(self._cameras)

    def calibration(self) -> dict[str, dict[str, object]]:
        """Where the cameras stand, for an episode's attributes."""
        return {name: dict(camera.calibration) for name, camera in self._cameras.items()}
