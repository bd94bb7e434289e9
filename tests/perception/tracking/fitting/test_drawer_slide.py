"""The places and openings of a part that slides, and what its holder looks like."""

import numpy as np
import pytest

from ocrrl.interface import rotations
from ocrrl.perception.tracking.fitting.drawer_slide import (
    PLAY,
    nearest_place,
    open_holder,
    opening_of,
    slide_pose,
    where_it_may_be,
)
from ocrrl.perception.tracking.fitting.pose_fit import Body
from ocrrl.perception.tracking.fitting.signed_distance import signed_distances
from ocrrl.tabletop.close_drawer import TASK as CLOSE_DRAWER
from ocrrl.tabletop.parts.object_shapes import Box, ObjectShape, Slide, TruncatedCone
from ocrrl.tabletop.registry import shapes_of

SHAPES = shapes_of(CLOSE_DRAWER)
SLIDE, CABINET = SHAPES["drawer"].slide, Body(SHAPES["cabinet"])
TURN = rotations.to_matrix(rotations.from_rotation_vector(np.array([0.0, 0.0, 0.4])))
HOLDER = CABINET, TURN, np.array([0.5, 0.1, 0.0])


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("opening", [0.0, 0.04, 0.13])
def test_place_and_opening_are_read_back_from_the_pose(place, opening):
    rotation, position = slide_pose(SLIDE, HOLDER, place, opening)
    assert nearest_place(SLIDE, HOLDER, position) == place
    assert opening_of(SLIDE, HOLDER, place, position) == pytest.approx(opening, abs=1e-12)
    np.testing.assert_array_equal(rotation, TURN)


def test_an_opening_beyond_the_travel_is_the_nearest_possible():
    for opening, possible in ((-0.02, -PLAY), (0.2, SLIDE.travel + PLAY)):
        assert opening_of(SLIDE, HOLDER, 1, slide_pose(SLIDE, HOLDER, 1, opening)[1]) == pytest.approx(possible)


@pytest.mark.parametrize("place", range(5))
def test_a_holder_has_a_gap_where_its_part_is_out_and_nowhere_else(place):
    faces = np.asarray(SLIDE.closed)
    whole, gap = (
        signed_distances(CABINET.rows, faces),
        signed_distances(open_holder(CABINET.shape, SLIDE, place).rows, faces),
    )
    np.testing.assert_allclose(whole, 0.0, atol=1e-9)
    np.testing.assert_allclose(np.delete(gap, place), 0.0, atol=1e-9)
    assert gap[place] > 0.01


def test_a_part_may_be_anywhere_it_slides_and_until_its_place_is_known_the_closed_faces_are_the_holder_s():
    middle = np.asarray(SLIDE.closed[2]) + 0.07 * np.asarray(SLIDE.axis)
    bodies = where_it_may_be(SHAPES["drawer"], HOLDER, None)
    assert len(bodies) == 5
    assert [signed_distances(body.rows, middle[None])[0] < 0 for body, *_ in bodies] == [k == 2 for k in range(5)]
    face = np.asarray(SLIDE.closed[2])[None]
    assert signed_distances(bodies[2][0].rows, face)[0] > 0.015
    ((known, *_),) = where_it_may_be(SHAPES["drawer"], HOLDER, 2)
    assert signed_distances(known.rows, face)[0] <= 1e-9


def test_the_face_of_a_part_must_be_a_box():
    slide = Slide("cabinet", ((0.0, 0.0, 0.0),), (0.0, -1.0, 0.0), 0.1, 0)
    with pytest.raises(ValueError, match="first primitive of a part that slides must be its face, a Box"):
        ObjectShape((TruncatedCone(0.1, 0.1, 0.1), Box((0.1, 0.1, 0.1))), (0.5, 0.5, 0.5), slide=slide)
