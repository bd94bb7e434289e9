import numpy as np
import pytest

from ocrrl.perception.tracking.fitting.signed_distance import (
    first_hit,
    nearest_on_ray,
    primitive_rows,
    rays_within,
    signed_distance,
)
from ocrrl.tabletop.parts.object_shapes import Box
from ocrrl.tabletop.registry import shapes_of, slugs, tabletop_task

SHAPES = {f"{slug}-{name}": shape for slug in slugs() for name, shape in shapes_of(tabletop_task(slug)).items()}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_a_step_of_the_distance_against_the_gradient_ends_on_the_surface(shape):
    rows, generator = primitive_rows(shape), np.random.default_rng(0)
    for point in generator.uniform(-0.25, 0.25, (200, 3)):
        distance, *gradient = signed_distance(rows, *point)
        assert np.linalg.norm(gradient) == pytest.approx(1.0)
        assert signed_distance(rows, *(point - distance * np.array(gradient)))[0] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_the_gradient_is_the_distance_s_slope(shape):
    rows, generator, step = primitive_rows(shape), np.random.default_rng(1), 1e-6
    for point in generator.uniform(-0.25, 0.25, (100, 3)):
        distance, *gradient = signed_distance(rows, *point)
        slopes = [(signed_distance(rows, *(point + step * axis))[0] - distance) / step for axis in np.eye(3)]
        if np.linalg.norm(slopes) > 0.999:  # not across a ridge
            np.testing.assert_allclose(gradient, slopes, atol=1e-3)


def test_the_distance_is_negative_inside_and_measured_in_metres_outside():
    rows = primitive_rows(SHAPES["cube_lift-cuboid"])
    assert signed_distance(rows, 0.0, 0.0, 0.0)[0] == pytest.approx(-0.02)
    assert signed_distance(rows, 0.07, 0.0, 0.0)[0] == pytest.approx(0.01)
    assert signed_distance(rows, 0.063, 0.024, 0.0)[0] == pytest.approx(0.005)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_a_ray_s_first_hit_lies_on_the_surface_with_nothing_before_it(shape):
    rows, generator = primitive_rows(shape), np.random.default_rng(2)
    centre = shape.corners().mean(0)
    hits = 0
    for _ in range(50):
        origin = centre + 0.8 * _unit(generator)
        direction = _unit(generator, towards=centre + generator.uniform(-0.05, 0.05, 3) - origin)
        t = first_hit(rows, *origin, *direction, 0.0, 2.0)
        along = np.linspace(0.0, t if t > 0 else 2.0, 60)[:-1]
        outside = [signed_distance(rows, *(origin + s * direction))[0] for s in along]
        assert min(outside) > -1e-6
        if t > 0:
            hits += 1
            assert abs(signed_distance(rows, *(origin + t * direction))[0]) < 3e-4
    assert hits > 5


def test_a_ray_comes_nearest_where_no_other_point_of_it_is_nearer():
    rows, generator = primitive_rows(SHAPES["close_drawer-drawer"], solid=True), np.random.default_rng(3)
    for _ in range(50):
        origin, direction = 0.5 * _unit(generator), _unit(generator)
        distance, t = nearest_on_ray(rows, *origin, *direction, -1.0, 1.0)
        along = [signed_distance(rows, *(origin + s * direction))[0] for s in np.linspace(-1.0, 1.0, 400)]
        assert distance <= min(along) + 1e-3 and -1.0 <= t <= 1.0


def test_rays_within_a_reach_are_those_whose_nearest_point_is():
    rows, generator = primitive_rows(SHAPES["close_drawer-drawer"], solid=True), np.random.default_rng(4)
    radius = np.linalg.norm(SHAPES["close_drawer-drawer"].corners(), axis=1).max()
    origin = np.array([0.4, -0.6, 0.5])
    rays = generator.normal(size=(300, 3)) * 0.3 - origin  # about the body, of any length
    within = rays_within(rows, radius, origin, rays, 0.02)
    nearest = np.array([nearest_on_ray(rows, *origin, *ray, 0.0, 8.0)[0] for ray in rays])
    np.testing.assert_array_equal(
        within[np.abs(nearest - 0.02) > 5e-3], (nearest < 0.02)[np.abs(nearest - 0.02) > 5e-3]
    )
    assert 20 < within.sum() < 280


def test_sizes_that_make_no_body_are_refused():
    with pytest.raises(ValueError, match=r"a box's half sizes must be above 0 m"):
        Box((0.1, 0.0, 0.1))


def _unit(generator, towards=None):
    vector = generator.normal(size=3) if towards is None else towards
    return vector / np.linalg.norm(vector)
