import numpy as np

from ocrrl.interface import rotations
from ocrrl.interface.frames import Intrinsics
from ocrrl.perception.cameras.realsense_reader import ColourDepth

WIDE = Intrinsics(64, 48, 40.0, 40.0, 31.5, 23.5)


def test_depth_of_points_anywhere_comes_out_along_the_colour_camera_s_axis():
    rotation = rotations.to_matrix(rotations.from_rotation_vector(np.array([0.1, -0.2, 0.3])))
    translation = np.array([0.05, -0.02, 0.01])
    z = np.random.default_rng(0).uniform(0.4, 2.0, (48, 64))
    v, u = np.mgrid[:48, :64]
    points = np.stack([(u - WIDE.cx) / WIDE.fx * z, (v - WIDE.cy) / WIDE.fy * z, z], axis=-1)
    in_depth_sensor = (points - translation) @ rotation  # Rᵀ(p - t), of rows
    depth = in_depth_sensor[..., 2].astype(np.float32)
    assert np.allclose(ColourDepth(WIDE, rotation, translation).of(depth), z, atol=1e-5)


def test_what_was_not_seen_stays_unseen():
    nothing = ColourDepth(WIDE, np.eye(3), np.array([0.0, 0.0, 0.5])).of(np.zeros((48, 64), np.float32))
    assert not nothing.any() and nothing.dtype == np.float32
