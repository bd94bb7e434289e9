"""The twin's object poses from its own images: renders an RGB-D camera and runs the real cell's tracker.

In place of the noise model (`robot.twin.noisy_tracker`), which is a thousand times as fast: an image takes 60 ms.
"""

import numpy as np

from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.interface.fr3_chain import FR3
from ocrrl.interface.frames import Frame, Intrinsics
from ocrrl.interface.protocols import PoseEstimate, RobotPosture
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.perception.tracking.geometric_tracker import GeometricTracker
from ocrrl.perception.tracking.pose_gate import PoseGate
from ocrrl.sim.environment import SimEnvironment
from ocrrl.sim.rgbd_camera import RgbdCamera

LATENCY_STEPS = 1
"""Control steps by which an estimate is older than the observation that shows it."""
FIRST_FRAMES = 3


class ImagePoses:
    """A `robot.twin.twin.TwinPoses` of the environments of `world`, seen by the camera that the cell calls front."""

    def __init__(self, task: TabletopTask, world: SimEnvironment, camera: str = "front") -> None:
        self._world, self._camera = world, RgbdCamera(world.model, camera)
        n, objects = world.num_envs, len(task.objects)
        self._trackers = [GeometricTracker(task, FR3) for _ in range(n)]
        self._gates = [PoseGate() for _ in range(n)]
        self._generators = [np.random.default_rng(0) for _ in range(n)]
        self._steps = np.zeros(n, int)
        self._late: list[list[PoseEstimate]] = [[] for _ in range(n)]
        self._poses, self._visible = np.zeros((n, objects, 7)), np.zeros((n, objects), bool)
        self._confidence = np.zeros((n, objects))

    def reset(self, ids: np.ndarray, seeds: list[int]) -> None:
        """The images' noise is drawn from `seeds`."""
        for env, seed in zip(ids, seeds, strict=True):
            self._generators[env] = np.random.default_rng([seed, 4])
            self._trackers[env].reset()
            self._gates[env].reset()
            self._steps[env], self._late[env] = 0, []

    def start(self, ids: np.ndarray, true_poses: np.ndarray) -> None:
        for _ in range(FIRST_FRAMES):
            self.update(ids, true_poses)

    def update(self, ids: np.ndarray, true_poses: np.ndarray) -> None:
        qpos, state = self._world.get_qpos(), self._world.true_state()
        for env in ids:
            now = float(self._steps[env]) / CONTROL_HZ
            colour, depth = self._camera.render(qpos[env], self._generators[env])
            frame = Frame(colour, depth, now, Intrinsics(*self._camera.intrinsics), self._camera.camera_pose)
            width = float(state.gripper_width[env])
            seen = self._trackers[env].track(frame, RobotPosture(qpos[env, :7], width))
            self._late[env] = [*self._late[env], seen][-1 - LATENCY_STEPS :]
            late = self._late[env][0]
            self._confidence[env] = late.confidence
            self._poses[env], self._visible[env] = self._gates[env].filter(late, now, state.gripper_pose[env], width)
            self._steps[env] += 1

    def estimate(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self._poses.copy(), self._confidence.copy(), self._visible.copy()

    def close(self) -> None:
        """Free the camera's context."""
        self._camera.close()
