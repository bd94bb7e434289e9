"""The hardware: a Franka FR3 and RealSense cameras, opened from a cell file and refused where they are not fit.

Not run on hardware here; every part but the cameras' pipeline is the wire twin's too.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.perception.calibration.calibration_check import CheckLimits, TableArea, check_table, refuse_complaints
from ocrrl.perception.calibration.calibration_file import CameraCalibration, read_calibration
from ocrrl.perception.frames import first_frame
from ocrrl.perception.realsense_openers import open_device
from ocrrl.perception.realsense_reader import RealSenseReader
from ocrrl.robot.arm_cell import OpenedCamera, assemble
from ocrrl.robot.arm_environment import ArmEnvironment
from ocrrl.robot.cell_file import CameraSection, CellFile, read_cell_file
from ocrrl.robot.cell_operator import CellOperator
from ocrrl.robot.fault_log import FAULTS, FaultLog
from ocrrl.robot.fr3 import FR3
from ocrrl.robot.franky_arm import FrankyArm
from ocrrl.robot.operator_at_terminal import OperatorAtTerminal
from ocrrl.robot.trackers import make_tracker

NAME = "fr3"


@dataclass(frozen=True)
class Hardware:
    """What is connected: nothing of it has moved."""

    arm: FrankyArm
    cameras: dict[str, OpenedCamera]


def open_fr3_cell(
    task: TabletopTask,
    folder: Path,
    clock: Callable[[], float],
    cell_file: Path,
    operator: CellOperator | None = None,
) -> ArmEnvironment:
    """The cell of `cell_file` with the tabletop task `task`; its faults go to `folder`, `clock` [s] is the wall's.

    The operator is at the terminal unless another is given. Nothing moves here. Raises as `open_hardware` does.
    """
    file = read_cell_file(cell_file)
    person = operator or OperatorAtTerminal()
    with ExitStack() as opened:
        hardware = open_hardware(file, clock, opened)
        environment = assemble(
            name=NAME,
            task=task,
            file=file,
            arm=hardware.arm,
            cameras=hardware.cameras,
            tracker=make_tracker(task, file.tracking, FR3),
            operator=person,
            on_fault=FaultLog(folder / FAULTS, clock),
        )
        opened.pop_all()  # from here on the environment closes them
        return environment


def open_hardware(file: CellFile, clock: Callable[[], float], opened: ExitStack) -> Hardware:
    """Connect to what `file` names, and check it; `opened` closes it again.

    Raises ValueError for a calibration that is wrong or too old, FileNotFoundError for none, RuntimeError for a robot or
    camera that is not there or not fit, or a camera that is not where its calibration says.
    """
    calibrations = {
        name: read_calibration(Path(section.calibration))
        for name, section in file.cameras.items()
        if section.calibration
    }
    arm = FrankyArm(file.arm.host, file.arm.enforce_realtime)
    opened.callback(arm.close)
    cameras = {}
    for name, section in file.cameras.items():
        reader = _reader(section, calibrations.get(name), arm.now)
        opened.callback(reader.close)
        cameras[name] = OpenedCamera(reader, _attributes(section, calibrations.get(name)))
    today = datetime.fromtimestamp(clock(), UTC).date()
    for name, calibration in calibrations.items():
        frame = first_frame(cameras[name].frames)
        calibration.check(file.cameras[name].serial, frame.intrinsics, today, int(file.max_calibration_age_days))
        if calibration.mounting == "fixed" and file.cameras[name].depth:
            refuse_complaints(name, [check_table(frame, TableArea())], CheckLimits())
    return Hardware(arm, cameras)


def _reader(
    section: CameraSection, calibration: CameraCalibration | None, clock: Callable[[], float]
) -> RealSenseReader:
    frame_sets = open_device(section.serial, section.width, section.height, section.frames_per_second, section.depth)
    pose = calibration.camera_pose if calibration and calibration.mounting == "fixed" else None
    return RealSenseReader(frame_sets, clock, pose)


def _attributes(section: CameraSection, calibration: CameraCalibration | None) -> dict[str, object]:
    """What an episode says of the camera."""
    found: dict[str, object] = {"serial": section.serial, "on_hand": section.on_hand}
    if calibration is not None:
        found |= {
            "intrinsics": vars(calibration.intrinsics),
            "pose": calibration.camera_pose.tolist(),
            "calibrated_on": calibration.made_on.isoformat(),
        }
    return found
