"""Frames of tabletop scenes with known poses, rendered as a D435 would see them."""

from dataclasses import dataclass

import numpy as np

from ocrrl.interface.frames import Frame, Intrinsics
from ocrrl.interface.protocols import RobotPosture
from ocrrl.robot.twin.twin import TWIN_LOOK
from ocrrl.sim.environment import SimEnvironment
from ocrrl.sim.rgbd_camera import RgbdCamera
from ocrrl.worlds import make_scene


@dataclass(frozen=True)
class Shot:
    """A frame, the arm's posture in it, and the true poses (O, 7)."""

    frame: Frame
    robot: RobotPosture
    poses: np.ndarray


class Studio:
    """One tabletop scene whose objects a test puts where it wants."""

    def __init__(self, slug: str):
        self._world = SimEnvironment(make_scene(slug), 1, TWIN_LOOK)
        self._camera = RgbdCamera(self._world.model, "front")
        self._shots = 0

    def initial(self, seed: int) -> np.ndarray:
        """Poses (O, 7) of an episode's start."""
        return self._world.scene.initial_object_poses(np.random.default_rng(seed))

    def shoot(self, poses: np.ndarray, joints: np.ndarray | None = None, width: float = 0.08) -> Shot:
        """The next frame, 50 ms after the last, with the objects at `poses`."""
        joints = np.asarray(self._world.tabletop_task.home_joints) if joints is None else joints
        self._world.reset_to(np.array([0]), joints[None], np.array([width]), poses[None])
        colour, depth = self._camera.render(self._world.get_qpos()[0], np.random.default_rng(self._shots))
        self._shots += 1
        frame = Frame(colour, depth, 0.05 * self._shots, Intrinsics(*self._camera.intrinsics), self._camera.camera_pose)
        return Shot(frame, RobotPosture(joints, width), poses)

    def close(self) -> None:
        self._camera.close()
        self._world.close()


def covered(frame: Frame, pose: np.ndarray, half_size: int) -> Frame:
    """The frame with a grey square of 2 `half_size` pixels 15 cm before the object at `pose`."""
    from ocrrl.interface import rotations

    lens = frame.intrinsics
    x, y, z = rotations.rotate(rotations.conjugate(frame.camera_pose[3:]), pose[:3] - frame.camera_pose[:3])
    u, v = int(lens.fx * x / z + lens.cx), int(lens.fy * y / z + lens.cy)
    colour, depth = frame.colour.copy(), frame.depth.copy()
    square = np.s_[max(v - half_size, 0) : v + half_size, max(u - half_size, 0) : u + half_size]
    colour[square], depth[square] = 120, z - 0.15
    return Frame(colour, depth, frame.captured, lens, frame.camera_pose)
