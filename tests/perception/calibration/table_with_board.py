"""A table with the board on it, as a fixed camera with depth sees it."""

import numpy as np

from ocrrl.interface import rigid, rotations
from ocrrl.interface.frames import Frame
from tests.perception.calibration.synthetic_views import D435, image_of_board, looking

CAMERA = looking(np.array([1.0, 0.1, 0.55]), np.array([0.5, 0.0, 0.0]))
ON_TABLE = np.array([0.40, 0.13, 0.0, *rotations.from_rotation_vector(np.array([np.pi, 0.0, 0.0]))])


def frame_of(
    error: np.ndarray | None = None, depth_scale: float = 1.0, seed: int = 0, board_pose: np.ndarray = ON_TABLE
) -> Frame:
    """The table with the board at `board_pose` (7,); the calibration is wrong by `error` (7,) in the camera's frame.

    Depth has noise of 3.7 mm that is alike over 8 x 8 pixels, and holes.
    """
    generator = np.random.default_rng(seed)
    k = D435
    v, u = np.mgrid[: k.height, : k.width]
    rays = np.stack([(u - k.cx) / k.fx, (v - k.cy) / k.fy, np.ones_like(u, float)], axis=-1).reshape(-1, 3)
    in_base = rotations.rotate(np.broadcast_to(CAMERA[3:], (len(rays), 4)), rays)
    depth = (-CAMERA[2] / in_base[:, 2]).reshape(k.height, k.width)
    noise = np.kron(generator.normal(scale=0.0037, size=(k.height // 8, k.width // 8)), np.ones((8, 8)))
    depth = np.where(generator.random(depth.shape) < 0.05, 0.0, depth_scale * depth + noise)
    colour = image_of_board(rigid.compose(rigid.inverse(CAMERA), board_pose), generator)
    pose = CAMERA if error is None else rigid.compose(CAMERA, error)
    return Frame(colour, depth.astype(np.float32), 0.0, k, pose)
