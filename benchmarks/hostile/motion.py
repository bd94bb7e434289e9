"""Sound motions of an FR3 whose images carry their own numbers, so that a swapped frame is seen for what it is.

Legend: T rows at `hz`; joints [rad], positions [m], wxyz quaternions, robot base frame.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float, UInt8

from ocrrl.interface.kinematics import ArmKinematics
from ocrrl.interface.tabletop_tasks import HOME_JOINTS
from ocrrl.sim.scene import arm_chain
from ocrrl.tabletop.registry import tabletop_task
from ocrrl.worlds import make_simulator

SIDE = 64
_BITS, _BLOCK = 8, 8
CAMERAS = ("front", "wrist")


@dataclass
class Motion:
    """An arm that reaches down, closes its hand and comes up again."""

    number: int
    """In 1..255; its images say it."""
    hz: float
    t: Float[np.ndarray, " T"]
    joints: Float[np.ndarray, "T 7"]
    pose: Float[np.ndarray, "T 7"]
    opening: Float[np.ndarray, " T"]
    width: Float[np.ndarray, " T"]
    cube: Float[np.ndarray, "T 7"]

    def __len__(self) -> int:
        return len(self.t)

    def images(self, camera: str, scale: int = 1) -> UInt8[np.ndarray, "T H W 3"]:
        """Its frames: a gradient, with episode, frame and camera written in blocks of black and white."""
        rows, columns = np.mgrid[0:SIDE, 0:SIDE]
        shade = np.stack([rows * 3, columns * 3, np.full((SIDE, SIDE), 60 + 12 * (self.number % 16))], -1)
        frames = np.repeat(shade.astype(np.uint8)[None], len(self), 0)
        for frame in range(len(self)):
            for line, value in enumerate((self.number, frame % 256, 1 + CAMERAS.index(camera))):
                for bit in range(_BITS):
                    colour = 235 if value >> bit & 1 else 20
                    frames[frame, line * _BLOCK : (line + 1) * _BLOCK, bit * _BLOCK : (bit + 1) * _BLOCK] = colour
        return frames.repeat(scale, 1).repeat(scale, 2)


def read_numbers(frame: UInt8[np.ndarray, "64 64 3"]) -> tuple[int, int, int]:
    """The episode, the frame and the camera that an image says it is of."""
    centres = frame[: 3 * _BLOCK].reshape(3, _BLOCK, _BITS, _BLOCK, 3)[:, 2:6, :, 2:6].mean(axis=(1, 3, 4))
    episode, number, camera = (int(sum((row > 128) << np.arange(_BITS))) for row in centres)
    return episode, number, camera


def make_motion(generator: np.random.Generator, number: int, seconds: float = 2.0, hz: float = 20.0) -> Motion:
    """A motion of its own: within the step limits at 20 Hz, its poses those of its joints."""
    t = np.arange(round(seconds * hz) + 1) / hz
    reach = 0.5 - 0.5 * np.cos(2 * np.pi * t / seconds)
    swing = generator.uniform(-1, 1, 7) * np.array([0.06, 0.03, 0.06, 0.03, 0.15, 0.1, 0.1]) + [0, 0, 0, 0, 0, 0, 0.4]
    joints = np.asarray(HOME_JOINTS) + reach[:, None] * (np.array([0, 0.22, 0, -0.1, 0, 0.3, 0]) + swing)
    opening = (t < seconds * generator.uniform(0.4, 0.6)).astype(float)
    lag = np.minimum(1.0, np.cumsum(np.abs(np.diff(opening, prepend=opening[0])) > 0) + 0 * t)
    width = 0.078 - 0.045 * np.clip((np.cumsum(lag) - 1) / (0.2 * hz), 0, 1) * lag
    cube = np.tile([*generator.uniform((0.42, -0.1, 0.02), (0.5, 0.1, 0.04)), 1.0, 0.0, 0.0, 0.0], (len(t), 1))
    return Motion(number, hz, t, joints, _kinematics().gripper_pose(joints), opening, width, cube)


@cache
def _kinematics() -> ArmKinematics:
    return ArmKinematics(arm_chain(make_simulator("cube_lift", 1).model))


INSTRUCTION = tabletop_task("cube_lift").instruction
