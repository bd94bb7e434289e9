"""Makes the object tracker that a cell file names."""

from ocrrl.interface.frames import Frame
from ocrrl.interface.kinematics import ArmKinematics
from ocrrl.interface.observations import CONFIDENCE_THRESHOLD
from ocrrl.interface.protocols import PoseTracker, RobotPosture
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.perception.tracking.geometric_tracker import GeometricTracker
from ocrrl.robot.cell.cell_file import TrackingSection
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
