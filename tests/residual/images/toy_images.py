"""The toy of `tests.residual.toy_environment` with a camera that shows where the object is from the gripper, and a true state."""

from dataclasses import replace

import numpy as np

from ocrrl.residual.residual_config import ImageConfig
from tests.residual.test_train_residual import SMALL
from tests.residual.toy_environment import ToyEnvironment

SIZE = 16
REACH = 0.10  # [m] from an image's middle to its border

IMAGES = ImageConfig(
    size=SIZE,
    shift=1,
    channels=4,
    features=8,
    encoder_updates=40,
    encoder_cycle=30,
    encoder_share=0.5,
    position_loss=0.5,
    gradient_steps=1,
    batch_size=8,
)
FROM_IMAGES = replace(SMALL, observation="images", images=IMAGES)


class ToyState:
    """Where the object is from the gripper [m]."""

    dim = 3

    def __init__(self, environment):
        self._environment = environment

    def read(self, ids):
        seen = self._environment.observe()
        return (seen.object_poses[ids, 0, :3] - seen.gripper_pose[ids, :3]).astype(np.float32)


class ToyImages(ToyEnvironment):
    cameras = {"front": (1, 2)}

    def __init__(self, num_envs):
        super().__init__(num_envs)
        self.privileged = ToyState(self)
        self.taken = []

    def capture_at(self, ids, cameras):
        self.taken.append(len(ids))
        ((name, (size, _)),) = cameras.items()
        away = self.privileged.read(ids)
        images = np.full((len(ids), size, size, 3), 40, np.uint8)
        rows, columns = (np.clip((away[:, k] / REACH + 1) / 2 * size, 0, size - 1).astype(int) for k in (0, 1))
        images[np.arange(len(ids)), rows, columns] = np.clip(128 + 1000 * away[:, 2:], 60, 250)
        return {name: images}

    def reset_to(self, ids, joint_positions, gripper_width, object_poses):
        self._gripper[ids, :3], self._gripper[ids, 3:] = [0.5, 0.0, 0.2], [0.0, 1.0, 0.0, 0.0]
        self._object[ids] = object_poses[:, 0]
        self._width[ids] = gripper_width
