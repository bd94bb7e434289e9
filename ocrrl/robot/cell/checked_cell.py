"""Reads and checks all parts of a cell before anybody is asked and anything is opened."""

from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from ocrrl.interface.cameras import DEFAULT_CAMERAS, CameraSizes
from ocrrl.interface.cells import Cell
from ocrrl.perception.calibration.calibration_file import CameraCalibration, read_calibration
from ocrrl.robot.cell.cell_file import CameraSection, CellFile, read_cell_file
from ocrrl.robot.cell.cell_images import CameraView
from ocrrl.robot.operator.approval import Clock


@dataclass(frozen=True)
class CheckedCell:
    """A cell file, and the calibrations that it names, by camera; none where the cell itself says where its cameras stand."""

    file: CellFile
    calibrations: dict[str, CameraCalibration]
    views: dict[str, CameraView] = field(default_factory=dict)
    """What the VLA sees, by camera; none where no VLA is to act."""


def check_cell(
    cell: Cell, cell_file: Path | None, clock: Clock, cameras: CameraSizes = DEFAULT_CAMERAS
) -> CheckedCell | None:
    """What `cell` is made of, from `cell_file`, `cells/<name>.yaml` unless given; None where it is made of no file.

    A rehearsal is made of none, and takes one: what the file demands of images and policies is checked as on hardware.
    Calibrations are held against the day of `clock` [s]. Raises ValueError for a file that is wrong, not wanted, or without one of
    `cameras`, and as `check_calibration`.
    """
    if not cell.has_file:
        if cell_file is None:
            return None
        if not cell.needs_approval:
            raise ValueError(
                f"--cell-file must come with a cell that is made of one (wire_twin, fr3) or rehearses one (rehearsal), got {cell.name}"
            )
        file = read_cell_file(cell_file)
        return CheckedCell(file, {}, file.views(cameras, cell_file))
    path = cell_file or Path("cells") / f"{cell.name}.yaml"
    if not cell.needs_approval:
        file = read_cell_file(path)
        return CheckedCell(file, {}, file.views(cameras, path))
    checked = check_hardware(path, date.fromtimestamp(clock()))
    return replace(checked, views=checked.file.views(cameras, path))


def check_hardware(cell_file: Path, today: date) -> CheckedCell:
    """The hardware cell of `cell_file`; raises ValueError for a file that is wrong, and as `check_calibration`."""
    file = read_cell_file(cell_file)
    calibrations = {
        name: check_calibration(name, file, today) for name, section in file.cameras.items() if section.calibration
    }
    return CheckedCell(file, calibrations)


def check_calibration(camera: str, file: CellFile, today: date) -> CameraCalibration:
    """The calibration that `file` names for `camera`.

    Raises FileNotFoundError where it is not there, ValueError where it is wrong, too old, or not of that camera as `file` has it.
    """
    section = file.cameras[camera]
    calibration = read_calibration(Path(section.calibration))
    calibration.check(section.serial, today, int(file.max_calibration_age_days))
    _check_use(camera, section, calibration)
    return calibration


def _check_use(camera: str, section: CameraSection, calibration: CameraCalibration) -> None:
    size = (calibration.intrinsics.width, calibration.intrinsics.height)
    for key, wanted, got in (
        ("mounting", "wrist" if section.on_hand else "fixed", calibration.mounting),
        ("intrinsics", f"{section.width} x {section.height}", f"{size[0]} x {size[1]}"),
    ):
        if wanted != got:
            raise ValueError(
                f"{section.calibration}: {key} must be {wanted}, as cameras.{camera} of the cell file says, got {got}: correct "
                "the cell file, or calibrate again (docs/calibrate.md)"
            )
