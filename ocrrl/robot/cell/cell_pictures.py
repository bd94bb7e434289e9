"""What a VLA sees of a cell: its cameras' pictures, the last one of a camera that has failed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ocrrl.interface.observations import Images
from ocrrl.perception.cameras.frames import FrameSource

Picture = Callable[[Float[np.ndarray, "H W 3"]], np.ndarray]
"""A camera's colour picture to what the VLA sees of it."""


@dataclass(frozen=True)
class CellCamera:
    """An open camera, the part of its picture that a VLA sees, and where it stands, for an episode's attributes."""

    frames: FrameSource
    view: Picture
    calibration: Mapping[str, object]


class CellPictures:
    """The pictures of `cameras`, by their names."""

    def __init__(self, cameras: Mapping[str, CellCamera]) -> None:
        self._cameras = cameras
        self._pictures: Images = {}

    def latest(self, on_failure: Callable[[str], None]) -> Images:
        """One picture a camera; `on_failure` gets what a camera says that gives none any more, whose last one it is then."""
        pictures = {}
        for name, camera in self._cameras.items():
            frame = None
            try:
                frame = camera.frames.latest()
            except RuntimeError as error:
                on_failure(f"camera {name}: {error}")
            if frame is not None:
                self._pictures[name] = camera.view(frame.colour)[None]
            pictures[name] = self._pictures[name]
        return pictures

    def begun(self) -> bool:
        """Whether every camera has a picture; keeps the first ones. RuntimeError where one has failed."""
        frames = {name: camera.frames.latest() for name, camera in self._cameras.items()}
        self._pictures = {n: self._cameras[n].view(f.colour)[None] for n, f in frames.items() if f is not None}
        return len(self._pictures) == len(self._cameras)

    def calibration(self) -> dict[str, dict[str, object]]:
        """Where the cameras stand, for an episode's attributes."""
        return {name: dict(camera.calibration) for name, camera in self._cameras.items()}
