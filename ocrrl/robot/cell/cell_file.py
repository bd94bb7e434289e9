"""Reads a cell file, the YAML description of one lab's cell. docs/cell_file.md explains every key.

Read once when a cell is opened; nothing in it can be changed while the arm moves.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ocrrl.config_builder import ParamsError, build, shown
from ocrrl.interface.cameras import CAMERA_NAME, CameraSizes, require_known_cameras
from ocrrl.robot.arm.franky_reader import ArmSection, require_one_word
from ocrrl.robot.cell.cell_images import CameraView
from ocrrl.robot.safety.safety_limits import SafetyLimits
from ocrrl.safe_yaml import read_yaml

NEXT_STEP = "docs/cell_file.md says what a cell file holds"
MOST_FRAMES_PER_SECOND = 90
"""Of RealSense cameras."""
MOST_PIXELS = 4096
"""Of an image's width and height; RealSense cameras give at most 1920 x 1080."""
TRACKING_CEILINGS = {"max_age": 1.0, "max_speed": 3.0, "hold_grasped": 10.0, "registration_time": 60.0}
"""[s], [m/s]: what no cell file may go beyond. 3 m/s is the FR3's fastest: no object in its hand is faster."""
MOST_CALIBRATION_AGE = 365.0  # days
BOARD_WITHIN = 3.0  # [m] of the robot's base
UNIT_WITHIN = 1e-3
"""A quaternion that was written with a few digits has unit length so far."""


@dataclass(frozen=True)
class CameraSection:
    """One camera: which, how it is run, and the square of its image about which the VLA sees."""

    serial: str
    view_left: int
    view_top: int
    view_size: int
    """[pixels], of the colour image."""
    width: int = 640
    height: int = 480
    frames_per_second: int = 30
    depth: bool = False
    calibration: str = ""
    """File that `ocrrl calibrate` wrote; needed where `depth` is on, since objects are tracked there."""
    on_hand: bool = False
    check_board: tuple[float, ...] | None = None
    """Where a printed board lies for good, its pose (7,) in base, [m] and wxyz: looked at whenever the cell is opened."""

    def view(self, image: tuple[int, int]) -> CameraView:
        """What a VLA sees that takes images of the height and width `image`; ValueError where this camera's are too small."""
        view = CameraView.around(self.view_left, self.view_top, self.view_size, image)
        view.check_resolution(self.width, self.height)
        return view

    def __post_init__(self) -> None:
        require_one_word("serial", self.serial, "the camera's serial number")
        for name, most in (
            ("width", MOST_PIXELS),
            ("height", MOST_PIXELS),
            ("frames_per_second", MOST_FRAMES_PER_SECOND),
        ):
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be 1 to {most}, got {getattr(self, name)}")
        low, beyond = min(self.view_left, self.view_top), max(self.view_left - self.width, self.view_top - self.height)
        if self.view_size < 1 or low < 0 or beyond + self.view_size > 0:
            square = f"{self.view_size} pixels from ({self.view_left}, {self.view_top})"
            raise ValueError(f"view_size must keep the square within {self.width} x {self.height}, got {square}")
        if self.depth and not self.calibration:
            raise ValueError(
                "calibration must name the camera's calibration where depth is true; `ocrrl calibrate` makes it"
            )
        if self.check_board is not None:
            self._require_board(self.check_board)

    def _require_board(self, pose: tuple[float, ...]) -> None:
        if self.on_hand or not self.depth:
            raise ValueError(
                "check_board must be left out but for a fixed camera with depth: no other is checked by it"
            )
        unit = len(pose) == 7 and abs(math.hypot(*pose[3:]) - 1) < UNIT_WITHIN
        if not unit or max(map(abs, pose[:3])) > BOARD_WITHIN:
            raise ValueError(
                f"check_board must be 7 numbers, a position in metres and a unit quaternion wxyz, within {BOARD_WITHIN:g} m of "
                f"the base, got {list(pose)}; `ocrrl calibrate check` measures it"
            )


@dataclass(frozen=True)
class TrackingSection:
    """Where object poses come from, and for how long they are believed."""

    camera: str
    estimator: Literal["geometric", "remote"] = "geometric"
    address: str = ""
    """Of the remote estimator's server, such as tcp://127.0.0.1:5555."""
    max_age: float = 0.20
    """[s] after which a pose is not believed any more."""
    max_speed: float = 1.5
    """[m/s]; an object that moved faster between two estimates is not believed at once."""
    hold_grasped: float = 1.0
    """[s] for which an object that is hidden by the fingers which hold it is taken to move with them."""
    registration_time: float = 5.0
    """[s] within which every object must be found at an episode's start."""

    def __post_init__(self) -> None:
        if (self.estimator == "remote") != bool(self.address):
            raise ValueError(f"address must be given for the remote estimator and no other, got {self.address!r}")
        for name, most in TRACKING_CEILINGS.items():
            if not 0 < getattr(self, name) <= most:
                raise ValueError(f"{name} must be above 0 and at most {most:g}, got {getattr(self, name)}")


@dataclass(frozen=True)
class CellFile:
    """One cell."""

    arm: ArmSection
    cameras: dict[str, CameraSection]
    """By the names that the VLA knows them under."""
    tracking: TrackingSection
    limits: SafetyLimits = field(default_factory=SafetyLimits)
    max_calibration_age_days: float = 30.0
    signed_by: str = ""
    """File of a public key; where it is given, a session takes no policy without a signature of that key (`ocrrl sign`)."""

    def __post_init__(self) -> None:
        self.limits.require_within_ceilings()
        if not 0 < self.max_calibration_age_days <= MOST_CALIBRATION_AGE:
            raise ValueError(
                f"max_calibration_age_days must be above 0 and at most {MOST_CALIBRATION_AGE:g}, got "
                f"{self.max_calibration_age_days}"
            )
        for name in self.cameras:
            if not CAMERA_NAME.fullmatch(name):
                raise ValueError(f"cameras must have names of a-z, 0-9 and _, got {shown(name)}")
        serials = [section.serial for section in self.cameras.values()]
        if len(set(serials)) < len(serials):
            raise ValueError(f"cameras must have serial numbers of their own, got {', '.join(serials)}")
        camera = self.cameras.get(self.tracking.camera)
        if camera is None or not camera.depth or camera.on_hand:
            fit = [name for name, section in self.cameras.items() if section.depth and not section.on_hand]
            raise ValueError(
                f"tracking.camera must be a fixed camera with depth ({', '.join(fit) or 'none'}), got "
                f"{self.tracking.camera!r}"
            )

    def views(self, cameras: CameraSizes, path: Path) -> dict[str, CameraView]:
        """What a VLA sees that takes images of `cameras`; ValueError that names the file `path` where these cannot give them."""
        require_known_cameras(cameras, self.cameras, str(path))
        views = {}
        for name, size in cameras.items():
            try:
                views[name] = self.cameras[name].view(size)
            except ValueError as error:
                raise ValueError(f"{path}: cameras.{name}, for images of {size[0]} x {size[1]}: {error}") from error
        return views

    def camera(self, name: str, path: Path) -> CameraSection:
        """The camera `name`; ValueError names those that the file `path` has."""
        if name not in self.cameras:
            raise ValueError(f"{path}: cameras must have {name}, they are {', '.join(self.cameras)}")
        return self.cameras[name]


def read_cell_file(path: Path) -> CellFile:
    """The cell in `path`.

    Raises ValueError that names the file, the key, what was required and what was got.
    """
    if not path.is_file():
        raise ValueError(
            f"{path} must be a cell file, it is not there; run in the project's folder, or copy cells/fr3.yaml and edit it "
            f"({NEXT_STEP})"
        )
    try:
        return build(CellFile, read_yaml(path), f"{path}:", complete=False)
    except ParamsError as error:
        raise ValueError(f"{error} ({NEXT_STEP})") from error
