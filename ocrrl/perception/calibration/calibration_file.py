"""A camera's calibration file, and whether it belongs to the connected camera."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from ocrrl.config_builder import shown
from ocrrl.interface.frames import Intrinsics
from ocrrl.perception.calibration.charuco_board import CharucoBoard
from ocrrl.perception.calibration.hand_eye import MOUNTINGS, Mounting
from ocrrl.perception.calibration.hand_eye_quality import Quality
from ocrrl.perception.calibration.json_dataclass import read_dataclass, write_dataclass

FORMAT_VERSION = 1
SAME_PIXELS = 0.01
"""Intrinsics that differ by less are the same [pixels]."""


@dataclass(frozen=True)
class CaptureSetup:
    """With what the views of a calibration are taken."""

    camera: str
    """Its name in the cell, such as front."""
    serial: str
    mounting: Mounting
    intrinsics: Intrinsics
    board: CharucoBoard

    def __post_init__(self) -> None:
        for name in ("camera", "serial"):
            if not getattr(self, name):
                raise ValueError(f"{name} must be a text that is not empty, got ''")
        if self.mounting not in MOUNTINGS:
            raise ValueError(f"mounting must be one of {', '.join(MOUNTINGS)}, got {self.mounting!r}")


@dataclass(frozen=True)
class CameraCalibration(CaptureSetup):
    """Where a camera is, and from what that is known."""

    camera_pose: tuple[float, ...]
    """Of the optical frame, position [m] and wxyz (7,): in the robot base frame (fixed) or in the gripper frame (wrist)."""
    quality: Quality
    views: int
    """How many it is from."""
    made_on: str
    """Date, such as 2026-11-30."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.views < 1:
            raise ValueError(f"views must be at least 1, got {self.views}")
        if len(self.camera_pose) != 7 or abs(np.linalg.norm(self.camera_pose[3:]) - 1) > 1e-6:
            raise ValueError(f"camera_pose must be a position and a unit quaternion wxyz, got {list(self.camera_pose)}")
        try:
            date.fromisoformat(self.made_on)
        except ValueError as error:
            raise ValueError(f"made_on must be a date such as 2026-11-30, got {shown(self.made_on)}") from error

    def age(self, today: date) -> int:
        """[days]"""
        return (today - date.fromisoformat(self.made_on)).days

    def check(self, serial: str, today: date, max_age_days: int) -> None:
        """ValueError unless it is of the camera `serial`, and at most `max_age_days` old."""
        again = f"calibrate it again: {_remedy(self.camera)}"
        if serial != self.serial:
            raise ValueError(
                f"the calibration of camera {self.camera} must be of the camera that is there, serial {serial}, got one of "
                f"{self.serial}: {again}, or plug the other camera in"
            )
        if not 0 <= (age := self.age(today)) <= max_age_days:
            raise ValueError(
                f"the calibration of camera {self.camera} must be 0 to {max_age_days} days old, got {age} "
                f"(made on {self.made_on}, today is {today}): {again}"
            )

    def check_intrinsics(self, intrinsics: Intrinsics) -> None:
        """ValueError unless the camera's `intrinsics` are those that it was made with."""
        apart = [
            name for name, value in vars(intrinsics).items() if abs(value - vars(self.intrinsics)[name]) > SAME_PIXELS
        ]
        if apart:
            raise ValueError(
                f"the calibration of camera {self.camera} must have its intrinsics, {intrinsics}, got {self.intrinsics}, "
                f"other in {', '.join(apart)}: open it with the resolution it was calibrated with, or calibrate it again: "
                f"{_remedy(self.camera)}"
            )


def write_calibration(path: Path, calibration: CameraCalibration) -> None:
    """Write `calibration` to `path`, whole or not at all."""
    write_dataclass(path, calibration, FORMAT_VERSION)


def read_calibration(path: Path) -> CameraCalibration:
    """The calibration in `path`. FileNotFoundError, or ValueError that names the field that is not as it must be."""
    return read_dataclass(path, CameraCalibration, FORMAT_VERSION, f"make it by {_remedy('CAMERA', path)}")


def _remedy(camera: str, path: Path | str = "FILE") -> str:
    return f"`ocrrl calibrate views FOLDER --camera {camera} --out {path}` (docs/calibrate.md)"
