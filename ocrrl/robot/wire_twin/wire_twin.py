"""The wire twin as a cell: starts its processes and connects the real drivers to them."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from ocrrl.interface.fr3_chain import FR3
from ocrrl.interface.frames import Intrinsics
from ocrrl.perception.cameras.realsense_reader import RealSenseReader
from ocrrl.perception.cameras.software_camera import SoftwareCamera
from ocrrl.robot.arm.arm import Arm
from ocrrl.robot.arm.franky_arm import FrankyArm
from ocrrl.robot.cell.arm_cell import OpenedCamera, assemble
from ocrrl.robot.cell.arm_environment import ArmEnvironment
from ocrrl.robot.cell.cell_file import CameraSection, CellFile
from ocrrl.robot.cell.trackers import make_tracker
from ocrrl.robot.safety.fault_log import FAULTS, FaultLog
from ocrrl.robot.wire_twin.image_feed import ImageFeed
from ocrrl.robot.wire_twin.processes import ServerProcess
from ocrrl.robot.wire_twin.scene_simulator import scene_path
from ocrrl.robot.wire_twin.twin_operator import TwinOperator
from ocrrl.tabletop.parts.scene import TabletopScene

NAME = "wire_twin"
CELL_FILE = Path("cells/wire_twin.yaml")
SPEED = 0.4
"""Of its clock beside the wall's: one machine simulates the arm, renders the cameras and runs the VLA, which a real cell has
hardware for; at full speed on two cores images and actions come too late."""


def open_wire_twin(
    scene: TabletopScene,
    folder: Path,
    clock: Callable[[], float],
    file: CellFile,
    inspected: Callable[[Arm], Arm] = lambda arm: arm,
) -> ArmEnvironment:
    """The wire twin of `file` with the tabletop task of `scene`; its logs go to `folder`, `clock` [s] dates its faults.

    `inspected` may put an arm of its own between the safety gate and the driver.
    Raises RuntimeError when a process does not start.
    """
    task = scene.task
    with ExitStack() as opened:
        arm_server = _started(opened, "arm_server", ("--scene", scene_path(scene), "--speed", str(SPEED)), folder)
        arguments = ("--scene", scene_path(scene), "--state", arm_server.told["state"])
        camera_server = _started(opened, "camera_server", arguments, folder)
        arm = FrankyArm(replace(file.arm, host=arm_server.told["robot"]))
        opened.callback(arm.close)
        stands = camera_server.told["cameras"]
        devices = {name: _device(file.cameras[name], stands[name]) for name in file.cameras}
        cameras = {}
        for name, section in file.cameras.items():
            pose = None if section.on_hand else np.array(stands[name]["pose"])
            reader = RealSenseReader(devices[name], arm.now, pose)
            opened.callback(reader.close)
            cameras[name] = OpenedCamera(reader, {"serial": section.serial, "on_hand": section.on_hand} | stands[name])
        feed = ImageFeed(camera_server.told["images"], devices)
        opened.callback(feed.close)
        operator = TwinOperator(arm_server.told["state"], arm_server.told["table"])
        opened.callback(operator.close)
        environment = assemble(
            name=NAME,
            task=task,
            file=file,
            arm=inspected(arm),
            cameras=cameras,
            tracker=make_tracker(task, file.tracking, FR3),
            operator=operator,
            on_fault=FaultLog(folder / FAULTS, clock),
            first_closed=(feed,),
            last_closed=(camera_server, arm_server),
        )
        opened.pop_all()  # from here on the environment closes them
        return environment


def _started(opened: ExitStack, module: str, arguments: tuple[str, ...], folder: Path) -> ServerProcess:
    process = ServerProcess(f"{__package__}.{module}", arguments, folder / f"{module}.log")
    opened.callback(process.close)
    return process


def _device(section: CameraSection, stands: dict) -> SoftwareCamera:
    return SoftwareCamera(
        Intrinsics(*stands["intrinsics"]), section.frames_per_second, section.serial, has_depth=section.depth
    )
