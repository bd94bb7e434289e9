"""What is known of a box in the hand: it lies on the pads."""

import numpy as np
import pytest

from ocrrl.interface import rotations
from ocrrl.perception.tracking.fitting.hypotheses import between_pads
from ocrrl.perception.tracking.fitting.pose_fit import Body
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from ocrrl.tabletop.registry import shapes_of
from ocrrl.tabletop.stand_cup_up import TASK as STAND_CUP_UP

TCP = np.array([0.5, 0.1, 0.2])
HAND = rotations.to_matrix(rotations.from_rotation_vector(np.array([0.1, -0.2, 0.4])))
CUBOID = Body(shapes_of(CUBE_LIFT)["cuboid"])  # 12 x 4 x 4 cm


def turned(*rotation_vector: float) -> np.ndarray:
    """The hand's orientation, turned in the hand's frame [rad]."""
    return HAND @ rotations.to_matrix(rotations.from_rotation_vector(np.array(rotation_vector)))


@pytest.mark.parametrize("width", [0.0344, 0.04, 0.042])
def test_a_box_in_the_hand_lies_square_on_the_pads_and_midway_between_them(width):
    position = TCP + HAND @ [0.02, 0.007, 0.01]
    rotation, squared = between_pads(CUBOID, turned(0.2, 0.3, 0.25), position, TCP, HAND, width)
    np.testing.assert_allclose(np.abs(HAND[:, 1] @ rotation), [0, 1, 0], atol=1e-9)
    np.testing.assert_allclose(HAND.T @ (squared - TCP), [0.02, 0.0, 0.01], atol=1e-9)  # moved along the pads' way only
    np.testing.assert_allclose(HAND.T @ between_pads(CUBOID, HAND, TCP, TCP, HAND, width)[0], np.eye(3), atol=1e-9)


def test_a_turn_about_the_axis_that_the_hand_closes_along_is_kept():
    rotation, _ = between_pads(CUBOID, turned(0, 0.3, 0), TCP, TCP, HAND, 0.04)
    np.testing.assert_allclose(rotation, turned(0, 0.3, 0), atol=1e-9)


@pytest.mark.parametrize(
    ("body", "width"), [(CUBOID, 0.05), (CUBOID, 0.025), (Body(shapes_of(STAND_CUP_UP)["cup"]), 0.04)]
)
def test_pads_as_far_apart_as_no_two_faces_say_nothing(body, width):
    assert between_pads(body, HAND, TCP, TCP, HAND, width) is None
