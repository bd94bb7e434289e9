"""What a tracker refuses to look at."""

import numpy as np

from ocrrl.interface.frames import Frame
from ocrrl.interface.protocols import RobotPosture


def require_frame(frame: Frame, robot: RobotPosture) -> None:
    """ValueError where `frame` is no aligned RGB-D frame or `robot` no posture."""
    lens = frame.intrinsics
    size = (lens.height, lens.width)
    if frame.colour.shape != (*size, 3) or frame.colour.dtype != np.uint8:
        raise ValueError(
            f"a frame's colour must be {(*size, 3)} uint8 as its intrinsics say, got {frame.colour.shape} {frame.colour.dtype}"
        )
    if frame.depth.shape != size or frame.depth.dtype != np.float32:
        raise ValueError(
            f"a frame's depth must be {size} float32 in metres, aligned to its colour, got {frame.depth.shape} "
            f"{frame.depth.dtype}"
        )
    joints = np.asarray(robot.joint_positions, float)
    if joints.shape != (7,) or not np.isfinite(joints).all() or not np.isfinite(robot.gripper_width):
        raise ValueError(f"a robot's posture must be 7 joint positions [rad] and a width [m], got {robot}")
