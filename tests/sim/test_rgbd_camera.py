from dataclasses import replace

import numpy as np
import pytest

from ocrrl.interface import rotations
from ocrrl.robot.twin.twin import TWIN_LOOK
from ocrrl.sim.environment import SimEnvironment
from ocrrl.sim.rgbd_camera import FOVY, RgbdCamera, RgbdErrors
from ocrrl.tabletop.cube_lift import HALF_SIZE
from ocrrl.tabletop.cube_lift import Scene as CubeLift

IDEAL = RgbdErrors(depth_noise=0, fixed_depth_noise=0, edge_width=0, colour_noise=0, exposure=(1.0, 1.0 + 1e-9))


@pytest.fixture(scope="module")
def environment():
    environment = SimEnvironment(CubeLift(), 1, TWIN_LOOK)
    environment.reset(np.array([0]), [5])
    return environment


def images(environment, errors=None, fovy=FOVY, seed=0):
    camera = RgbdCamera(environment.model, "front", fovy, errors)
    colour, depth = camera.render(environment.get_qpos()[0], np.random.default_rng(seed))
    camera.close()
    return colour, depth, camera


def in_base(depth, camera):
    """Every pixel's point (H, W, 3) in the base frame."""
    width, height, fx, fy, cx, cy = camera.intrinsics
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    points = np.stack([(u - cx) / fx, (v - cy) / fy, np.ones_like(depth)], axis=-1) * depth[..., None]
    return rotations.rotate(camera.camera_pose[3:], points) + camera.camera_pose[:3]


def test_depth_intrinsics_and_pose_put_table_and_cuboid_where_they_are(environment):
    for fovy in (FOVY, 30.0):
        _, depth, camera = images(environment, IDEAL, fovy)
        points = in_base(depth, camera)
        centre = environment.true_state().object_poses[0, 0, :3]
        near = (depth > 0) & (np.linalg.norm(points[..., :2] - centre[:2], axis=-1) < 0.08) & (points[..., 2] < 0.1)
        heights = points[near][:, 2]
        assert np.abs(heights).min() < 1e-3 and heights.min() > -1e-3
        assert heights.max() == pytest.approx(2 * HALF_SIZE[2], abs=1e-3)
        top = points[near][heights > 2 * HALF_SIZE[2] - 5e-4]
        np.testing.assert_allclose(0.5 * (top.max(0) + top.min(0))[:2], centre[:2], atol=0.002)


def test_depth_noise_has_its_size_and_grows_with_depth_squared(environment):
    _, ideal, _ = images(environment, IDEAL)
    _, noisy, _ = images(environment)
    seen = (noisy > 0) & (ideal > 0)
    relative = (noisy - ideal)[seen] / ideal[seen] ** 2 * 0.7**2
    assert relative.std() == pytest.approx(0.0037, rel=0.1)
    neighbours = np.corrcoef((noisy - ideal)[250:350, 300:400].ravel(), (noisy - ideal)[250:350, 301:401].ravel())
    assert neighbours[0, 1] > 0.8


def test_depth_is_missing_along_edges_and_out_of_range(environment):
    _, ideal, _ = images(environment, IDEAL)
    _, noisy, _ = images(environment)
    step = np.abs(np.diff(ideal, axis=1)) > 0.1
    assert (noisy[:, 1:][step] == 0).mean() > 0.6
    assert (noisy[ideal == 0] == 0).all() and 0.97 < (noisy[ideal > 0] > 0).mean() < 1.0
    _, short, _ = images(environment, replace(IDEAL, depth_range=(0.3, 0.7)))
    assert short.max() <= 0.7 and (short == 0).any()


def test_the_same_generator_gives_the_same_image_and_another_one_another(environment):
    first, again, other = (images(environment, seed=seed)[:2] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[1] != other[1]).mean() > 0.5 and (first[0] != other[0]).mean() > 0.5


def test_the_cuboid_has_its_colour_where_its_depth_is(environment):
    colour, depth, camera = images(environment, IDEAL)
    height = in_base(depth, camera)[..., 2]
    cuboid = (depth > 0) & (height > 0.03) & (height < 0.041)
    cuboid[:150] = False  # the hand
    brown = colour[cuboid].astype(float)
    assert (brown[:, 0] > 1.3 * brown[:, 2]).mean() > 0.95


def test_wrong_cameras_and_sizes_are_refused_by_name(environment):
    with pytest.raises(ValueError, match=r"front, wrist; got 'side'"):
        RgbdCamera(environment.model, "side")
    with pytest.raises(ValueError, match="fovy must be between 0 and 180"):
        RgbdCamera(environment.model, "front", fovy=0.0)
    with pytest.raises(ValueError, match="depth_range must be two increasing numbers"):
        RgbdErrors(depth_range=(2.0, 1.0))
    with pytest.raises(ValueError, match="sizes of 0 or more"):
        RgbdErrors(depth_noise=-1.0)


def test_a_closed_camera_says_so(environment):
    *_, camera = images(environment)
    with pytest.raises(RuntimeError, match="was closed"):
        camera.render(environment.get_qpos()[0], np.random.default_rng(0))
