"""Assembles an arm, cameras and a tracker into a cell, for the wire twin and for hardware."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

from ocrrl.interface.fr3_chain import FR3
from ocrrl.interface.frames import Frame
from ocrrl.interface.kinematics import ArmKinematics
from ocrrl.interface.observations import CONFIDENCE_THRESHOLD
from ocrrl.interface.protocols import PoseTracker, RobotPosture
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.perception.tracking.asynchronous_tracker import AsynchronousTracker, PostureHistory
from ocrrl.perception.tracking.geometric_tracker import GeometricTracker
from ocrrl.perception.tracking.pose_gate import PoseGate, PoseGateConfig
from ocrrl.robot.arm.arm import Arm
from ocrrl.robot.arm.fault import Fault
from ocrrl.robot.cell.arm_environment import ArmEnvironment
from ocrrl.robot.cell.cell_file import CellFile, TrackingSection
from ocrrl.robot.cell.cell_images import CellCamera
from ocrrl.robot.cell.closing import Closable
from ocrrl.robot.operator.cell_operator import CellOperator
from ocrrl.robot.safety.safety_gate import SafetyGate
from ocrrl.robot.safety.watchdog import Watchdog
from ocrrl.tabletop.registry import shapes_of


def make_tracker(task: TabletopTask, section: TrackingSection, kinematics: ArmKinematics) -> PoseTracker:
    """The tracker of `section` for the objects of `task`.

    The remote one is told where to register objects by SAM 2's masks at the places where the geometric one finds them,
    and each of its poses is held against the image (docs/foundation_pose.md).
    """
    if section.estimator == "geometric":
        return GeometricTracker(task, kinematics)
    from ocrrl.perception.remote.client import RemoteTracker, RemoteTrackerConfig
    from ocrrl.perception.remote.sam2_masks import load_sam2, pixel_of
    from ocrrl.perception.tracking.verifier import PoseVerifier

    finder = GeometricTracker(task, kinematics)
    verifier = PoseVerifier(shapes_of(task), kinematics)

    def point_of(frame: Frame, index: int, robot: RobotPosture) -> tuple[float, float] | None:
        finder.reset()
        found = finder.track(frame, robot)
        return pixel_of(frame, found.poses[index, :3]) if found.confidence[index] >= CONFIDENCE_THRESHOLD else None

    return RemoteTracker(task, load_sam2(point_of), verifier.verify, RemoteTrackerConfig(section.address))


def assemble(
    name: str,
    task: TabletopTask,
    file: CellFile,
    arm: Arm,
    cameras: Mapping[str, CellCamera],
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
            cameras=cameras,
            tracker=follower,
            postures=postures,
            poses=PoseGate(gates),
            operator=operator,
            registration_time=tracking.registration_time,
            parts=(watchdog, gate, *first_closed, follower, *frames, operator, *last_closed),
        )
        begun.pop_all()  # from here on the environment closes them
        return environment
