import dataclasses

import numpy as np
import pytest

from ocrrl.sim.appearance import LIGHTS, VARIANTS, AppearanceRange


def test_an_episode_s_look_comes_from_its_seed_alone():
    ranges = AppearanceRange()
    first, again, other = (ranges.draw(seed, bodies=2, cameras=2) for seed in (5, 5, 6))
    for field in dataclasses.fields(first):
        np.testing.assert_array_equal(getattr(first, field.name), getattr(again, field.name))
    assert (first.light_positions != other.light_positions).all()
    assert (first.object_tints != other.object_tints).all()


def test_every_part_of_a_look_stays_in_its_range():
    ranges = AppearanceRange(textures=("wood", "tiles"))
    looks = [ranges.draw(seed, bodies=1, cameras=2) for seed in range(200)]
    assert {name for look in looks for name in (*look.surfaces, *look.objects)} == {"wood", "tiles"}
    assert {variant for look in looks for variant in look.surface_variants} == set(range(VARIANTS))
    lights = np.stack([look.light_positions for look in looks])
    assert lights.shape == (200, LIGHTS, 3)
    assert ranges.light_height[0] <= lights[..., 2].min() and lights[..., 2].max() <= ranges.light_height[1]
    sideways = np.linalg.norm(lights.mean(axis=1)[:, :2] - (0.5, 0.0), axis=1)
    assert ranges.light_offset[0] <= sideways.min() and sideways.max() <= ranges.light_offset[1]
    turns = np.stack([look.camera_turns for look in looks])
    assert -1 <= turns.min() < -0.9 and 0.9 < turns.max() <= 1


def test_a_range_that_cannot_be_is_refused_by_name():
    with pytest.raises(ValueError, match=r"^textures must be one or more of noise, .*, got 'marble'"):
        AppearanceRange(textures=("marble",))
    with pytest.raises(ValueError, match=r"^light_intensity must be an increasing pair from 0 up, got \(1.0, 0.5\)"):
        AppearanceRange(light_intensity=(1.0, 0.5))
