"""The shapes that perception knows are the simulator's."""

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from ocrrl.interface import rotations
from ocrrl.interface.tabletop_tasks import TrackedObject
from ocrrl.perception.tracking.fitting.pose_fit import Body
from ocrrl.perception.tracking.fitting.render_and_compare import cast
from ocrrl.robot.twin.twin import TWIN_LOOK
from ocrrl.sim.environment import SimEnvironment
from ocrrl.tabletop.parts.object_shapes import ObjectShape
from ocrrl.tabletop.registry import shapes_of, slugs, tabletop_task
from ocrrl.worlds import make_scene

SHAPES = {slug: shapes_of(tabletop_task(slug)) for slug in slugs()}
RIGID = [
    (slug, name) for slug, shapes in SHAPES.items() for name in shapes if all(s.slide is None for s in shapes.values())
]


@pytest.mark.parametrize(("slug", "name"), RIGID)
def test_rays_meet_the_shape_where_they_meet_the_simulator_s_geoms(slug, name):
    environment = SimEnvironment(make_scene(slug), 1, TWIN_LOOK)
    data = mujoco.MjData(environment.model)
    data.qpos[:] = environment.get_qpos()[0]
    mujoco.mj_forward(environment.model, data)
    index = [tracked.name for tracked in tabletop_task(slug).objects].index(name)
    body, pose = (
        Body(list(shapes_of(tabletop_task(slug)).values())[index]),
        environment.true_state().object_poses[0, index],
    )
    disagreements = _ray_errors(environment, data, body, pose, {name})
    assert np.median(disagreements) < 1e-3 and np.quantile(disagreements, 0.9) < 4e-3


def test_cabinet_and_drawer_are_where_the_simulator_has_them():
    environment = SimEnvironment(make_scene("close_drawer"), 1, TWIN_LOOK)
    data = mujoco.MjData(environment.model)
    for seed in range(5):
        environment.reset(np.array([0]), [seed])
        data.qpos[:] = environment.get_qpos()[0]
        mujoco.mj_forward(environment.model, data)
        poses = environment.true_state().object_poses[0]
        drawer, cabinet = (Body(shape) for shape in shapes_of(tabletop_task("close_drawer")).values())
        slide = drawer.shape.slide
        offset = rotations.rotate(rotations.conjugate(poses[1, 3:]), poses[0, :3] - poses[1, :3])
        off = offset - np.asarray(slide.closed)
        opening = off @ np.asarray(slide.axis)
        place = np.linalg.norm(off - opening[:, None] * slide.axis, axis=1).argmin()
        expected = np.asarray(slide.closed[place]) + opening[place] * np.asarray(slide.axis)
        np.testing.assert_allclose(offset, expected, atol=1e-9)
        assert 0.06 <= opening[place] <= slide.travel
        assert np.median(_ray_errors(environment, data, drawer, poses[0], {f"drawer{place}"})) < 1e-3
        assert np.median(_ray_errors(environment, data, cabinet, poses[1], {"cabinet"})) < 1e-3


def test_objects_rest_with_their_lowest_point_on_the_table():
    cup = SHAPES["stand_cup_up"]["cup"]
    assert cup.height_at_rest(np.array([1.0, 0, 0, 0])) == pytest.approx(0.05)
    assert SHAPES["pick_and_place"]["bowl"].height_at_rest(np.array([1.0, 0, 0, 0])) == pytest.approx(0.0)


def test_an_object_without_a_shape_is_named_with_the_module_to_add_it_to():
    task = replace(tabletop_task("cube_lift"), objects=(TrackedObject("puck"),))
    with pytest.raises(
        ValueError, match=r"'cube_lift' needs the shape of puck: add it to SHAPES in ocrrl.tabletop.cube_l"
    ):
        shapes_of(task)


def test_a_shape_needs_a_primitive():
    with pytest.raises(ValueError, match="needs a primitive"):
        ObjectShape((), (0.5, 0.5, 0.5))


def _ray_errors(environment, data, body, pose, names):
    """Differences [m] along rays that meet the body both ways; its geoms are those of the bodies `names`."""
    generator, rotation = np.random.default_rng(0), rotations.to_matrix(pose[3:])
    camera = np.array([1.02, 0.045, 0.66])
    targets = pose[:3] + generator.uniform(-1, 1, (400, 3)) * body.radius * 0.8
    rays = targets - camera
    hits = cast(body.rows, body.radius, rotation, pose[:3], camera, rays)
    errors = []
    for ray, hit in zip(rays, hits, strict=True):
        geom = np.zeros(1, np.int32)
        length = np.linalg.norm(ray)
        distance = mujoco.mj_ray(environment.model, data, camera, ray / length, None, 1, -1, geom, None)
        if distance < 0 or hit == 0:
            continue
        owner = environment.model.body(environment.model.geom_bodyid[geom[0]]).name
        if owner in names:
            errors.append(abs(hit * length - distance))
    assert len(errors) > 15
    return np.array(errors)
