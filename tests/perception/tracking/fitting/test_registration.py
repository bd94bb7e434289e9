"""Finding an object: only that one, never what is like it. Each wrong shape was once taken for the thing in the image."""

from dataclasses import replace

import numpy as np
import pytest

from ocrrl.interface import rotations
from ocrrl.interface.fr3_chain import FR3
from ocrrl.perception.tracking.fitting.object_pixels import Sight
from ocrrl.perception.tracking.fitting.pixels import NOMINAL_SPREAD, ColourModel, tint_of
from ocrrl.perception.tracking.fitting.pose_fit import Body
from ocrrl.perception.tracking.fitting.registration import find
from ocrrl.perception.tracking.fitting.robot_mask import robot_capsules
from ocrrl.perception.tracking.fitting.table_plane import find_table
from ocrrl.tabletop.parts.object_shapes import Box, TruncatedCone
from ocrrl.tabletop.registry import shapes_of, tabletop_task
from tests.perception.tracking.scenes import Studio, covered

UPRIGHT = (1.0, 0.0, 0.0, 0.0)
SHORT, LONG = Box((0.04, 0.02, 0.02)), Box((0.06, 0.02, 0.02))
TUBE = TruncatedCone(0.032, 0.032, 0.05)


def found(studio, shape, pose, hide=None):
    shot = studio.shoot(np.array([pose]))
    frame = shot.frame if hide is None else covered(shot.frame, hide, 20)
    table, colour = find_table(frame), ColourModel(tint_of(shape.colour), NOMINAL_SPREAD)
    return find(Body(shape), Sight(frame, table, robot_capsules(FR3, shot.robot)), colour, [], again=False)


@pytest.fixture(scope="module")
def cuboid_studio():
    studio = Studio("cube_lift")
    yield studio
    studio.close()


@pytest.fixture(scope="module")
def cup_studio():
    studio = Studio("stand_cup_up")
    yield studio
    studio.close()


def test_a_longer_box_seen_from_its_end_is_not_taken_for_a_shorter_one(cuboid_studio):
    (shape,) = shapes_of(tabletop_task("cube_lift")).values()
    for x in (0.39, 0.435, 0.48, 0.52):
        pose = np.array([x, 0.046, 0.02, *rotations.from_rotation_vector(np.array([0.0, 0.0, -0.1]))])
        right = found(cuboid_studio, shape, pose)
        assert right is not None and np.linalg.norm(right.position - pose[:3]) < 0.006
        assert found(cuboid_studio, replace(shape, primitives=(SHORT,)), pose) is None


def test_a_box_with_its_end_hidden_is_not_found_for_it_may_be_shorter(cuboid_studio):
    (shape,) = shapes_of(tabletop_task("cube_lift")).values()
    pose = np.array([0.5, 0.0, 0.02, *UPRIGHT])
    end = pose + np.array([-0.06, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    assert shape.primitives == (LONG,) and found(cuboid_studio, shape, pose, hide=end) is None


@pytest.mark.parametrize("place", [(0.393, 0.013), (0.5, 0.02), (0.6, 0.04)])
def test_a_cup_is_not_taken_for_a_cylinder_of_its_mean_radius(cup_studio, place):
    (shape,) = shapes_of(tabletop_task("stand_cup_up")).values()
    pose = np.array([*place, 0.05, *UPRIGHT])
    assert found(cup_studio, shape, pose) is not None
    assert found(cup_studio, replace(shape, primitives=(TUBE,), ends="alike"), pose) is None
