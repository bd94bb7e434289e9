"""A camera's calibration file, and whether it belongs to the connected camera."""

from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ocrrl.files import write_json
from ocrrl.interface.frames import Intrinsics
from ocrrl.perception.calibration.charuco_board import CharucoBoard
from ocrrl.perception.calibration.hand_eye import MOUNTINGS, Mounting
from ocrrl.perception.calibration.hand_eye_quality import Quality
from ocrrl.perception.calibration.json_fields import JsonFields

FORMAT_VERSION = 1
SAME_PIXELS = 0.01
"""Intrinsics that differ by less are the same [pixels]."""


@dataclass(frozen=True)
class CameraCalibration:
    """Where a camera is, and from what that is known."""

    camera: str
    """Its name in the cell, such as front."""
    serial: str
    mounting: Mounting
    intrinsics: Intrinsics
    camera_pose: Float[np.ndarray, " 7"]
    """Of the optical frame, position [m] and wxyz: in the robot base frame (fixed) or in the gripper frame (wrist)."""
    quality: Quality
    views: int
    """How many it is from."""
    board: CharucoBoard
    made_on: date

    def __post_init__(self) -> None:
        if self.mounting not in MOUNTINGS:
            raise ValueError(f"a calibration's mounting must be one of {', '.join(MOUNTINGS)}, got {self.mounting!r}")
        if self.views < 1:
            raise ValueError(f"a calibration must be from at least 1 view, got {self.views}")
        if self.camera_pose.shape != (7,) or abs(np.linalg.norm(self.camera_pose[3:]) - 1) > 1e-6:
            raise ValueError(
                f"a calibration's camera_pose must be a position and a unit quaternion, got {self.camera_pose}"
            )

    def check(self, serial: str, today: date, max_age_days: int) -> None:
        """ValueError unless it is of the camera `serial`, and at most `max_age_days` old."""
        again = f"calibrate it again: {_remedy(self.camera)}"
        if serial != self.serial:
            raise ValueError(
                f"the calibration of camera {self.camera} must be of the camera that is there, serial {serial}, got one of "
                f"{self.serial}: {again}, or plug the other camera in"
            )
        age = (today - self.made_on).days
        if not 0 <= age <= max_age_days:
            raise ValueError(
                f"the calibration of camera {self.camera} must be 0 to {max_age_days} days old, got {age} "
                f"(made on {self.made_on}, today is {today}): {again}"
            )

    def check_intrinsics(self, intrinsics: Intrinsics) -> None:
        """ValueError unless the camera's `intrinsics` are those that it was made with."""
        apart = [
            f.name
            for f in fields(Intrinsics)
            if not _same(getattr(intrinsics, f.name), getattr(self.intrinsics, f.name))
        ]
        if apart:
            raise ValueError(
                f"the calibration of camera {self.camera} must have its intrinsics, {intrinsics}, got {self.intrinsics}, "
                f"other in {', '.join(apart)}: open it with the resolution it was calibrated with, or calibrate it again: "
                f"{_remedy(self.camera)}"
            )


def write_calibration(path: Path, calibration: CameraCalibration) -> None:
    """Write `calibration` to `path`, whole or not at all."""
    write_json(
        path,
        {
            "format_version": FORMAT_VERSION,
            "camera": calibration.camera,
            "serial": calibration.serial,
            "mounting": calibration.mounting,
            "intrinsics": vars(calibration.intrinsics),
            "camera_pose": calibration.camera_pose.tolist(),
            "quality": vars(calibration.quality),
            "views": calibration.views,
            "board": board_content(calibration.board),
            "made_on": calibration.made_on.isoformat(),
        },
    )


def read_calibration(path: Path) -> CameraCalibration:
    """The calibration in `path`. FileNotFoundError, or ValueError that names the field that is not as it must be."""
    content = JsonFields.read(path, f"make it by {_remedy('CAMERA', path)}")
    content.only("format_version", *(field.name for field in fields(CameraCalibration)))
    check_version(content, FORMAT_VERSION)
    quality = content.section("quality").only(*(field.name for field in fields(Quality)))
    figures = {field.name: quality.number(field.name) for field in fields(Quality)}
    if min(figures.values()) < 0:
        raise content.wrong("quality", "must hold figures of at least 0", figures)
    views = content.whole("views")
    if views < 1:
        raise content.wrong("views", "must be at least 1", views)
    return CameraCalibration(
        camera=content.text("camera"),
        serial=content.text("serial"),
        mounting=read_mounting(content),
        intrinsics=read_intrinsics(content),
        camera_pose=content.pose("camera_pose"),
        quality=Quality(**figures),
        views=views,
        board=read_board(content),
        made_on=_read_date(content),
    )


def check_version(content: JsonFields, known: int) -> None:
    """ValueError unless the file's format_version is `known`."""
    version = content.whole("format_version")
    if version != known:
        raise content.wrong("format_version", f"must be {known}", version)


def read_mounting(content: JsonFields) -> Mounting:
    """The field mounting."""
    name = content.text("mounting")
    for mounting in MOUNTINGS:
        if name == mounting:
            return mounting
    raise content.wrong("mounting", f"must be one of {', '.join(MOUNTINGS)}", name)


def read_intrinsics(content: JsonFields) -> Intrinsics:
    """The section intrinsics."""
    section = content.section("intrinsics").only(*(field.name for field in fields(Intrinsics)))
    width, height = section.whole("width"), section.whole("height")
    fx, fy, cx, cy = (section.number(name) for name in ("fx", "fy", "cx", "cy"))
    try:
        return Intrinsics(width, height, fx, fy, cx, cy)
    except ValueError as error:
        raise content.wrong("intrinsics", f"must be a camera's ({error})", [width, height, fx, fy]) from error


def board_content(board: CharucoBoard) -> dict[str, Any]:
    """What `read_board` reads."""
    return {name: getattr(board, name) for name in ("columns", "rows", "square", "marker", "dictionary")}


def read_board(content: JsonFields) -> CharucoBoard:
    """The section board."""
    section = content.section("board").only("columns", "rows", "square", "marker", "dictionary")
    given = {
        "columns": section.whole("columns"),
        "rows": section.whole("rows"),
        "square": section.number("square"),
        "marker": section.number("marker"),
        "dictionary": section.text("dictionary"),
    }
    try:
        return CharucoBoard(**given)
    except ValueError as error:
        raise content.wrong("board", f"must be a board ({error})", given) from error


def _read_date(content: JsonFields) -> date:
    text = content.text("made_on")
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise content.wrong("made_on", "must be a date such as 2026-11-30", text) from error


def _remedy(camera: str, path: Path | str = "FILE") -> str:
    return f"`ocrrl calibrate views FOLDER --camera {camera} --out {path}` (docs/calibrate.md)"


def _same(a: float, b: float) -> bool:
    return abs(a - b) <= SAME_PIXELS
