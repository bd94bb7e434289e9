"""The realistic look: what it draws, and what of the twin's it never can."""

import numpy as np
import pytest

from ocrrl.robot.twin.twin import TWIN_LOOK
from ocrrl.sim.appearance import LIGHTS, VARIANTS, AppearanceRange
from ocrrl.sim.environment import SimEnvironment
from ocrrl.sim.realistic import CAMERA_SHIFT, CAMERA_TURN, FOVY, HAND_CAMERA_SHIFT, RealisticLook, surface
from ocrrl.sim.renderer import SceneRenderer
from ocrrl.sim.scene import CAMERAS
from ocrrl.sim.textures import TEXTURES
from ocrrl.tabletop.close_drawer import Scene as CloseDrawer
from ocrrl.tabletop.cube_lift import Scene as CubeLift
from ocrrl.worlds import make_simulator
from tests.sixth_task.push_puck import Scene as PushPuck

SIZES = {"front": (84, 84), "wrist": (48, 64)}
SEEDS = [5, 6, 7]


@pytest.fixture(scope="module")
def simulator():
    world = make_simulator("stand_cup_up", 3, look="realistic")
    world.reset(np.arange(3), SEEDS)
    yield world
    world.close()


@pytest.mark.renders
def test_an_image_belongs_to_its_seed_and_state_whoever_else_is_drawn(simulator):
    together = simulator.capture_at(np.arange(3), SIZES)
    assert {name: images.shape for name, images in together.items()} == {
        "front": (3, 84, 84, 3),
        "wrist": (3, 48, 64, 3),
    }
    reversed_order = simulator.capture_at(np.array([2, 1, 0]), SIZES)
    alone = make_simulator("stand_cup_up", 1, look="realistic")
    alone.reset(np.arange(1), [SEEDS[1]])
    only_wrist = alone.capture_at(np.arange(1), {"wrist": SIZES["wrist"]})
    alone.close()
    for name in SIZES:
        np.testing.assert_array_equal(together[name], reversed_order[name][::-1])
    np.testing.assert_array_equal(only_wrist["wrist"][0], together["wrist"][1])
    for name in SIZES:
        assert np.abs(together[name][0].astype(float) - together[name][1]).mean() > 10, "episodes look different"


@pytest.mark.renders
def test_the_look_changes_neither_what_the_vla_sees_nor_the_physics(simulator):
    plain = make_simulator("stand_cup_up", 3)
    plain.reset(np.arange(3), SEEDS)
    simulator.capture_at(np.arange(3), SIZES)
    for name, images in plain.capture(np.arange(3)).items():
        np.testing.assert_array_equal(images, simulator.capture(np.arange(3))[name])
        np.testing.assert_array_equal(images, plain.capture_at(np.arange(3), plain.cameras)[name])
    np.testing.assert_array_equal(plain.get_qpos(), simulator.get_qpos())
    plain.close()


@pytest.mark.renders
def test_a_look_drawn_anew_is_that_of_its_seed_until_the_next_reset_and_survives_a_checkpoint(simulator):
    first = simulator.capture_at(np.arange(3), SIZES)["front"]
    simulator.redress(np.array([0, 1]), np.array([SEEDS[2], 99]))
    anew, state = simulator.capture_at(np.arange(3), SIZES)["front"], simulator.get_state()
    assert np.abs(anew[1].astype(float) - first[1]).mean() > 3 and np.array_equal(anew[2], first[2])
    simulator.reset(np.arange(3), SEEDS)
    np.testing.assert_array_equal(simulator.capture_at(np.arange(3), SIZES)["front"], first)
    simulator.set_state(state)
    np.testing.assert_array_equal(simulator.capture_at(np.arange(3), SIZES)["front"], anew)
    simulator.reset(np.arange(3), SEEDS)


@pytest.mark.renders
def test_geoms_out_of_view_are_left_out_without_a_trace(simulator, monkeypatch):
    culled = simulator.capture_at(np.arange(3), SIZES)
    monkeypatch.setattr(SceneRenderer, "_leave_out_unseen", lambda self, camera, size: None)
    for renderer in simulator._renderers.values():
        renderer._model.geom_group[:] = renderer._groups
    for name, images in simulator.capture_at(np.arange(3), SIZES).items():
        np.testing.assert_array_equal(images, culled[name])


@pytest.mark.renders
@pytest.mark.parametrize("scene", [PushPuck, CloseDrawer])
def test_a_scene_without_shapes_or_with_parts_that_slide_is_drawn_too(scene):
    world = SimEnvironment(scene(), 1, realistic=AppearanceRange(textures=("wood",)))
    image = world.capture_at(np.arange(1), {"front": (64, 64)})["front"][0]
    world.close()
    assert 40 < image.mean() < 220 and image.std() > 15


def test_the_twin_s_lights_are_outside_the_ranges():
    ranges = AppearanceRange()
    brightest = ranges.light_intensity[1] * (1 + ranges.light_warmth[1]) / LIGHTS
    assert ranges.light_height[0] > TWIN_LOOK.light_position[2] + 0.1
    assert brightest < min(TWIN_LOOK.light_diffuse) / 2
    look = RealisticLook(CubeLift())
    assert look.model.nlight == LIGHTS and not look.model.vis.headlight.active, "the twin has one light and a headlight"


def test_no_texture_or_tint_is_the_twin_s():
    twin = np.array([TWIN_LOOK.table_rgb, TWIN_LOOK.table_checker_rgb, TWIN_LOOK.background_rgb])
    for name in TEXTURES:
        for variant in range(VARIANTS):
            red, _, blue = colour = surface(name, variant).mean(axis=(0, 1)) / 255
            assert np.abs(twin - colour).max(axis=1).min() > 0.05, (name, variant)
            assert blue < 1.25 * red, "the twin's table has twice as much blue as red"
    tints = np.concatenate([AppearanceRange().draw(seed, 3, 2).object_tints for seed in range(500)])
    twin_tint = np.asarray(TWIN_LOOK.object_tint)
    assert (tints[:, 2] / tints[:, 0]).min() > twin_tint[2] / twin_tint[0] + 0.05


def test_fields_of_view_are_the_wire_twin_s_and_camera_poses_reach_the_twin_s_from_the_simulator_s():
    for name, camera in TWIN_LOOK.cameras.items():
        assert FOVY[name] == camera.fovy
        reach = HAND_CAMERA_SHIFT if camera.on_hand else CAMERA_SHIFT
        assert np.abs(np.subtract(camera.position, CAMERAS[name].position)).max() <= reach
    assert np.rad2deg(CAMERA_TURN) <= 5


def test_an_unknown_look_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"^look must be one of plain, realistic, got 'photo'"):
        make_simulator("cube_lift", 1, look="photo")  # pyright: ignore[reportArgumentType]


def test_an_unknown_camera_is_named_with_the_scene_s():
    world = make_simulator("cube_lift", 1, look="realistic")
    with pytest.raises(ValueError, match="front, wrist, got 'top'"):
        world.capture_at(np.arange(1), {"top": (84, 84)})
