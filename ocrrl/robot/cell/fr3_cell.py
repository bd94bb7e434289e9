"""The hardware cell: a Franka FR3 and RealSense cameras, opened from a checked cell file.

Not run on hardware here; every part but the cameras' pipeline is the wire twin's too.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ocrrl.interface.fr3_chain import FR3
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.perception.calibration.calibration_file import CameraCalibration
from ocrrl.perception.cameras.frames import first_frame
from ocrrl.perception.cameras.realsense import open_device
from ocrrl.robot.arm.arm import Arm
from ocrrl.robot.arm.franky_arm import FrankyArm
from ocrrl.robot.arm.franky_reader import ArmSection
from ocrrl.robot.cell.arm_cell import assemble, make_tracker
from ocrrl.robot.cell.arm_environment import ArmEnvironment
from ocrrl.robot.cell.cell_cameras import OpenFrameSets, open_camera, require_place
from ocrrl.robot.cell.cell_file import CameraSection
from ocrrl.robot.cell.cell_images import CellCamera
from ocrrl.robot.cell.checked_cell import CheckedCell
from ocrrl.robot.operator.cell_operator import CellOperator
from ocrrl.robot.safety.fault_log import FAULTS, FaultLog

NAME = "fr3"


@dataclass(frozen=True)
class Hardware:
    """What is connected: nothing of it has moved."""

    arm: Arm
    cameras: dict[str, CellCamera]


def open_fr3_cell(
    task: TabletopTask,
    folder: Path,
    clock: Callable[[], float],
    checked: CheckedCell,
    operator: CellOperator,
) -> ArmEnvironment:
    """The cell `checked` with the tabletop task `task`; its faults go to `folder`, `clock` [s] is the wall's.

    Nothing moves here. Raises as `open_hardware` does.
    """
    file = checked.file
    with ExitStack() as opened:
        hardware = open_hardware(checked, opened)
        environment = assemble(
            name=NAME,
            task=task,
            file=file,
            arm=hardware.arm,
            cameras=hardware.cameras,
            tracker=make_tracker(task, file.tracking, FR3),
            operator=operator,
            on_fault=FaultLog(folder / FAULTS, clock),
        )
        opened.pop_all()  # from here on the environment closes them
        return environment


def open_hardware(
    checked: CheckedCell,
    opened: ExitStack,
    connect: Callable[[ArmSection], Arm] = FrankyArm,
    open_frame_sets: OpenFrameSets = open_device,
) -> Hardware:
    """Connect to what `checked` names, and look whether it is so; `opened` closes it again.

    Raises ValueError for a camera with other intrinsics than it was calibrated with, RuntimeError for a robot or camera that
    is not there or not fit, or a camera that is not where its calibration says (`require_place`).
    """
    file, calibrations = checked.file, checked.calibrations
    arm = connect(file.arm)
    opened.callback(arm.close)
    cameras = {}
    for name, section in file.cameras.items():
        reader = open_camera(section, calibrations.get(name), arm.now, open_frame_sets)
        opened.callback(reader.close)
        cameras[name] = CellCamera(reader, checked.views.get(name), _attributes(section, calibrations.get(name)))
    for name, calibration in calibrations.items():
        require_place(name, first_frame(cameras[name].frames), file.cameras[name], calibration)
    return Hardware(arm, cameras)


def _attributes(section: CameraSection, calibration: CameraCalibration | None) -> dict[str, object]:
    """What an episode says of the camera."""
    found: dict[str, object] = {"serial": section.serial, "on_hand": section.on_hand}
    if calibration is not None:
        found |= {
            "intrinsics": vars(calibration.intrinsics),
            "pose": list(calibration.camera_pose),
            "calibrated_on": calibration.made_on,
        }
    return found
