"""What a person is told and shown of an initial state is what the simulator sets for that seed."""

import re

import numpy as np
import pytest

from ocrrl.interface import rotations
from ocrrl.sim.environment import SimEnvironment
from ocrrl.sim.initial_state import InitialStateView, initial_object_poses
from ocrrl.tabletop.close_drawer import Scene as CloseDrawer
from ocrrl.tabletop.registry import slugs
from ocrrl.worlds import make_scene
from tests.perception.calibration.synthetic_views import D435, project
from tests.perception.calibration.table_with_board import CAMERA

SEED = 1_500_123
FOVY = float(np.rad2deg(2 * np.arctan(D435.height / (2 * D435.fy))))


@pytest.fixture
def view():
    views = []

    def make(scene):
        views.append(InitialStateView(scene, CAMERA, D435.width, D435.height, FOVY))
        return views[-1]

    yield make
    for made in views:
        made.close()


@pytest.mark.parametrize("slug", slugs())
def test_it_is_the_state_that_the_simulator_resets_to(slug):
    world = SimEnvironment(make_scene(slug), 1)
    world.reset(np.array([0]), [SEED])
    drawn = initial_object_poses(make_scene(slug), SEED)
    np.testing.assert_allclose(drawn, world.true_state().object_poses[0], atol=1e-9)


@pytest.mark.parametrize("slug", slugs())
def test_words_give_every_object_s_place_in_centimetres(slug, view):
    scene = make_scene(slug)
    lines = view(scene).words(SEED)
    for line, tracked, pose in zip(lines, scene.task.objects, initial_object_poses(scene, SEED), strict=False):
        name, *numbers = re.match(r"(\w+): x (-?[\d.]+), y (-?[\d.]+), z (-?[\d.]+), ", line).groups()
        assert name == tracked.name
        np.testing.assert_allclose(np.array(numbers, float) / 100, pose[:3], atol=0.0006)


def test_a_turn_is_told_as_the_yaw_of_what_a_person_sees(view):
    (cuboid,) = view(make_scene("cube_lift")).words(SEED)
    turned = rotations.rotate(initial_object_poses(make_scene("cube_lift"), SEED)[0, 3:], np.array([1.0, 0.0, 0.0]))
    yaw = float(re.search(r"yaw (-?\d+)$", cuboid)[1])
    np.testing.assert_allclose(np.deg2rad(yaw), np.arctan2(turned[1], turned[0]), atol=0.01)
    assert view(make_scene("pick_and_place")).words(SEED)[1].endswith(", any yaw")
    (cup,) = view(make_scene("stand_cup_up")).words(SEED)
    assert abs(float(re.search(r"lying, its top towards yaw (-?\d+)$", cup)[1])) < 47


def test_the_drawer_that_is_open_is_counted_from_below(view):
    scene = CloseDrawer()
    drawers = view(scene)
    for seed in range(SEED, SEED + 8):
        height = initial_object_poses(scene, seed)[0, 2]
        number, out = re.fullmatch(
            r"drawer (\d) of 5 from below is out by ([\d.]+) cm", drawers.words(seed)[2]
        ).groups()
        assert int(number) == round(height / 0.0564 + 0.5)
        assert 6.0 <= float(out) <= 13.0


def test_the_image_shows_the_object_where_the_camera_sees_it(view):
    scene = make_scene("pick_and_place")
    images = view(scene)
    for seed in (SEED, SEED + 1, SEED + 2):
        image = images.image(seed).astype(int)
        assert image.shape == (D435.height, D435.width, 3)
        red = (image[..., 0] > 100) & (image[..., 1] < 60) & (image[..., 2] < 60)
        rows, columns = np.nonzero(red)
        cuboid = initial_object_poses(scene, seed)[0, :3]
        in_camera = rotations.rotate(rotations.conjugate(CAMERA[3:]), cuboid - CAMERA[:3])
        seen = project(np.array([0, 0, 0, 1.0, 0, 0, 0]), in_camera[None])[0]
        assert len(rows) > 200
        np.testing.assert_allclose([columns.mean(), rows.mean()], seen, atol=8)
