"""Assembles an arm, cameras and a tracker into a cell, for the wire twin and for hardware."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from ocrrl.interface.fr3_chain import FR3
from ocrrl.interface.protocols import PoseTracker
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.perception.cameras.camera_view import CameraView, view_of
from ocrrl.perception.cameras.frames import FrameSource
from ocrrl.perception.tracking.asynchronous_tracker import AsynchronousTracker, PostureHistory
from ocrrl.perception.tracking.pose_gate import PoseGate, PoseGateConfig
from ocrrl.robot.arm.arm import Arm
from ocrrl.robot.arm.fault import Fault
from ocrrl.robot.cell.arm_environment import ArmEnvironment
from ocrrl.robot.cell.cell_file import CameraSection, CellFile
from ocrrl.robot.cell.cell_images import CellCamera
from ocrrl.robot.cell.closing import Closable
from ocrrl.robot.operator.cell_operator import CellOperator
from ocrrl.robot.safety.safety_gate import SafetyGate
from ocrrl.robot.safety.watchdog import Watchdog

IMAGE_SIZE = 64
"""[pixels] of what a VLA sees, as in the twin and the training simulator."""


@dataclass(frozen=True)
class OpenedCamera:
    """A camera that is being read."""

    frames: FrameSource
    calibration: Mapping[str, object]
    """For an episode's attributes."""


def assemble(
    name: str,
    task: TabletopTask,
    file: CellFile,
    arm: Arm,
    cameras: Mapping[str, OpenedCamera],
    tracker: PoseTracker,
    operator: CellOperator,
    on_fault: Callable[[Fault], None],
    first_closed: Sequence[Closable] = (),
    last_closed: Sequence[Closable] = (),
) -> ArmEnvironment:
    """The cell `name` as an environment; closing it closes all that it is made of, the arm before cameras and operator.

    `cameras` are those of `file`, opened; ValueError where one is missing. What was begun here ends where anything fails, and
    `tracker` is closed; the rest is its opener's.
    """
    with ExitStack() as begun:
        begun.callback(tracker.close)
        if missing := sorted(set(file.cameras) - set(cameras)):
            raise ValueError(f"cell {name} must have its cameras opened, got none for {', '.join(missing)}")
        gate = SafetyGate(arm, file.limits, FR3, operator.enabled, on_fault)
        postures, tracking = PostureHistory(), file.tracking
        follower = AsynchronousTracker(tracker, cameras[tracking.camera].frames, postures.at)
        begun.callback(follower.close)
        watchdog = begun.enter_context(Watchdog(gate))
        gates = PoseGateConfig(
            max_age=tracking.max_age, max_speed=tracking.max_speed, hold_grasped=tracking.hold_grasped
        )
        frames = [camera.frames for camera in cameras.values()]
        environment = ArmEnvironment(
            cell=name,
            task=task,
            arm=gate,
            cameras={
                key: CellCamera(camera.frames, _image(file.cameras[key]), camera.calibration)
                for key, camera in cameras.items()
            },
            tracker=follower,
            postures=postures,
            poses=PoseGate(gates),
            operator=operator,
            registration_time=tracking.registration_time,
            parts=(watchdog, gate, *first_closed, follower, *frames, operator, *last_closed),
        )
        begun.pop_all()  # from here on the environment closes them
        return environment


def _image(section: CameraSection) -> Callable[[np.ndarray], np.ndarray]:
    view = CameraView(section.view_left, section.view_top, section.view_size, IMAGE_SIZE)
    return lambda colour: view_of(colour, view)
