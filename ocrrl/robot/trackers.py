"""Which object tracker a cell file names."""

from ocrrl.interface.kinematics import ArmKinematics
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.perception.geometric_tracker import GeometricTracker
from ocrrl.perception.object_tracker import ObjectTracker
from ocrrl.robot.cell_file import TrackingSection


def make_tracker(task: TabletopTask, section: TrackingSection, kinematics: ArmKinematics) -> ObjectTracker:
    """The tracker of `section` for the objects of `task`."""
    return GeometricTracker(task, kinematics)
