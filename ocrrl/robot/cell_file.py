"""A cell file: what one lab's cell is made of, in YAML. docs/cell_file.md explains every key.

Read once when a cell is opened; nothing in it can be changed while the arm moves.
"""

import math
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import yaml

from ocrrl.interface.names import require_name
from ocrrl.params import ParamsError, build
from ocrrl.robot.safety_limits import SafetyLimits

NEXT_STEP = "docs/cell_file.md says what a cell file holds"
COLLISION_CEILINGS = {"collision_torque": 40.0, "collision_force": 60.0}
"""[Nm], [N]: what no cell file may go beyond, twice what franky sets by itself."""
UNIT_WITHIN = 1e-3
"""A quaternion that was written with a few digits has unit length so far."""


@dataclass(frozen=True)
class ArmSection:
    """The arm and its hand."""

    host: str
    """Address of the robot's control box."""
    enforce_realtime: bool = True
    """False without a real-time kernel; the robot then stops more often for want of commands."""
    collision_torque: float = 20.0
    """[Nm] about any joint from which on the robot itself stops for a collision (a reflex)."""
    collision_force: float = 30.0
    """[N, Nm] at the hand, likewise."""

    def __post_init__(self) -> None:
        if not self.host.strip():
            raise ValueError(f"host must be the robot's address, got {self.host!r}")
        for name, most in COLLISION_CEILINGS.items():
            if not 0 < getattr(self, name) <= most:
                raise ValueError(f"{name} must be above 0 and at most {most:g}, got {getattr(self, name)}")


@dataclass(frozen=True)
class CameraSection:
    """One camera: which, how it is run, and the square of its picture that the VLA sees."""

    serial: str
    view_left: int
    view_top: int
    view_size: int
    """[pixels], of the colour picture."""
    width: int = 640
    height: int = 480
    frames_per_second: int = 30
    depth: bool = False
    calibration: str = ""
    """File that `ocrrl calibrate` wrote; needed where `depth` is on, since objects are tracked there."""
    on_hand: bool = False
    check_board: tuple[float, ...] | None = None
    """Where a printed board lies for good, its pose (7,) in base, [m] and wxyz: looked at whenever the cell is opened."""

    def __post_init__(self) -> None:
        if not self.serial.strip():
            raise ValueError(f"serial must be the camera's serial number, got {self.serial!r}")
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
        numbers = [value for value in pose if isinstance(value, int | float) and not isinstance(value, bool)]
        unit = len(pose) == len(numbers) == 7 and abs(math.hypot(*numbers[3:]) - 1) < UNIT_WITHIN
        if not unit or not all(map(math.isfinite, numbers)):
            raise ValueError(
                "check_board must be 7 numbers, a position in metres and a unit quaternion wxyz, got "
                f"{list(pose)}; `ocrrl calibrate check` measures it"
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
        if self.estimator not in ("geometric", "remote"):
            raise ValueError(f"estimator must be geometric or remote, got {self.estimator!r}")
        if (self.estimator == "remote") != bool(self.address):
            raise ValueError(f"address must be given for the remote estimator and no other, got {self.address!r}")
        for name in ("max_age", "max_speed", "hold_grasped", "registration_time"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")


@dataclass(frozen=True)
class CellFile:
    """One cell."""

    arm: ArmSection
    cameras: dict[str, CameraSection]
    """By the names that the VLA knows them under."""
    tracking: TrackingSection
    limits: SafetyLimits = field(default_factory=SafetyLimits)
    max_calibration_age_days: float = 30.0

    def __post_init__(self) -> None:
        self.limits.require_within_ceilings()
        for name in self.cameras:
            require_name("cameras: a key", name)
        if not self.max_calibration_age_days > 0:
            raise ValueError(f"max_calibration_age_days must be above 0, got {self.max_calibration_age_days}")
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
        sections = yaml.load(path.read_text(), _OnceOnly)
    except yaml.YAMLError as error:
        raise ValueError(f"{path} must be YAML: {error}") from error
    if not isinstance(sections, dict):
        raise ValueError(f"{path} must hold {', '.join(_keys())}, got {type(sections).__name__}; {NEXT_STEP}")
    if unknown := sorted(set(sections) - set(_keys())):
        raise ValueError(f"{path}: {unknown[0]} is no key of a cell file; the keys are {', '.join(_keys())}")
    for name in ("arm", "cameras", "tracking"):
        if not isinstance(sections.get(name), dict):
            raise ValueError(
                f"{path}: {name} must be given, with its own keys, got {sections.get(name)!r}; {NEXT_STEP}"
            )
    try:
        built: dict[str, Any] = {
            "arm": _section(ArmSection, sections["arm"], f"{path}: arm"),
            "cameras": {
                str(name): _section(CameraSection, values, f"{path}: cameras.{name}")
                for name, values in sections["cameras"].items()
            },
            "tracking": _section(TrackingSection, sections["tracking"], f"{path}: tracking"),
            "limits": _section(SafetyLimits, sections.get("limits", {}), f"{path}: limits"),
        }
        if "max_calibration_age_days" in sections:
            built["max_calibration_age_days"] = sections["max_calibration_age_days"]
        return build(CellFile, built, str(path), complete=False)
    except ParamsError as error:
        raise ValueError(f"{error} ({NEXT_STEP})") from error


class _OnceOnly(yaml.SafeLoader):
    """YAML in which no key may come twice: the second would silently replace the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise yaml.constructor.ConstructorError(
                None, None, f"{twice[0]} must be given once, it is twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


def _section(section: type, values: Any, where: str) -> Any:
    """A section from its keys; those without a default must be there."""
    required = [f.name for f in fields(section) if f.default is MISSING and f.default_factory is MISSING]
    if isinstance(values, dict) and (missing := [name for name in required if name not in values]):
        raise ParamsError(f"{where}.{missing[0]} must be given")
    return build(section, values, where, complete=False)


def _keys() -> list[str]:
    return [f.name for f in fields(CellFile)]
