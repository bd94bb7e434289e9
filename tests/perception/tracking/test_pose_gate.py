"""Which poses a policy is shown: old ones and jumps are not, an object hidden by the hand that holds it is."""

import numpy as np
import pytest

from ocrrl.interface import rigid, rotations
from ocrrl.interface.observations import GRIPPER_DOWN
from ocrrl.interface.protocols import PoseEstimate
from ocrrl.perception.tracking.pose_gate import PoseGate, PoseGateConfig

PERIOD = 0.05
OPEN, CLOSED_ON_BOX, CLOSED = 0.08, 0.04, 0.0
AWAY = np.array([0.3, 0.3, 0.3, *GRIPPER_DOWN])


def at(*position, turn=(0.0, 0.0, 0.0)):
    return np.concatenate([position, rotations.from_rotation_vector(np.array(turn))])


def seen(time, *poses, confidence=1.0):
    return PoseEstimate(time, np.stack(poses), np.full(len(poses), confidence))


def test_a_pose_that_is_seen_and_fresh_goes_through_as_it_is():
    gate = PoseGate()
    estimate = seen(1.0, at(0.5, 0.0, 0.02), at(0.4, 0.1, 0.02))
    poses, visible = gate.filter(estimate, 1.1, AWAY, OPEN)
    np.testing.assert_array_equal(poses, estimate.poses)
    assert visible.all() and visible.dtype == bool


def test_an_old_pose_is_not_believed_until_there_is_a_newer_one():
    gate, estimate = PoseGate(PoseGateConfig(max_age=0.2)), seen(1.0, at(0.5, 0.0, 0.02))
    assert gate.filter(estimate, 1.2, AWAY, OPEN)[1] == [True]
    assert gate.filter(estimate, 1.21, AWAY, OPEN)[1] == [False]
    assert gate.filter(seen(1.2, at(0.5, 0.0, 0.02)), 1.25, AWAY, OPEN)[1] == [True]


def test_a_jump_is_not_believed_until_it_stays():
    gate = PoseGate(PoseGateConfig(believed_again=3))
    gate.filter(seen(0.0, at(0.5, 0.0, 0.02)), 0.0, AWAY, OPEN)
    shown = []
    for k in range(1, 5):
        estimate = seen(k * PERIOD, at(0.5, 0.3, 0.02))
        shown.append(bool(gate.filter(estimate, k * PERIOD, AWAY, OPEN)[1][0]))
    assert shown == [False, False, True, True]


def test_the_same_estimate_again_does_not_make_a_jump_believed():
    gate = PoseGate(PoseGateConfig(believed_again=2))
    gate.filter(seen(0.0, at(0.5, 0.0, 0.02)), 0.0, AWAY, OPEN)
    jumped = seen(PERIOD, at(0.5, 0.3, 0.02))
    assert all(gate.filter(jumped, PERIOD, AWAY, OPEN)[1] == [False] for _ in range(5))


def test_an_object_that_was_lost_may_be_found_as_far_away_as_the_time_allows():
    gate = PoseGate(PoseGateConfig(max_speed=1.0, jump_slack=0.02))
    gate.filter(seen(0.0, at(0.5, 0.0, 0.02)), 0.0, AWAY, OPEN)
    gate.filter(seen(0.05, at(0.5, 0.0, 0.02), confidence=0.1), 0.05, AWAY, OPEN)
    assert gate.filter(seen(0.2, at(0.5, 0.2, 0.02)), 0.2, AWAY, OPEN)[1] == [True]


def test_an_object_hidden_by_the_hand_that_holds_it_moves_with_the_hand_for_a_while():
    gate, hand = PoseGate(PoseGateConfig(hold_grasped=0.31)), np.array([0.5, 0.0, 0.02, *GRIPPER_DOWN])
    box = at(0.51, 0.0, 0.02, turn=(0.0, 0.0, 0.4))
    gate.filter(seen(0.0, box), 0.0, hand, CLOSED_ON_BOX)
    grasp, lifted = rigid.compose(rigid.inverse(hand), box), hand + np.array([0.0, 0.0, 0.1, 0, 0, 0, 0])
    for k in range(1, 10):
        now = k * PERIOD
        poses, visible = gate.filter(seen(now, at(0.9, 0.9, 0.9), confidence=0.0), now, lifted, CLOSED_ON_BOX)
        if now <= PERIOD + 0.31:
            assert visible[0]
            np.testing.assert_allclose(poses[0], rigid.compose(lifted, grasp), atol=1e-12)
        else:
            assert not visible[0]


@pytest.mark.parametrize(
    ("width", "hand"),
    [
        (OPEN, (0.5, 0.0, 0.02)),
        (CLOSED, (0.5, 0.0, 0.02)),
        (CLOSED_ON_BOX, (0.5, 0.2, 0.02)),
    ],
    ids=["an open hand", "a hand closed on nothing", "a hand elsewhere"],
)
def test_nothing_is_held_by(width, hand):
    gate, hand = PoseGate(), np.array([*hand, *GRIPPER_DOWN])
    gate.filter(seen(0.0, at(0.5, 0.0, 0.02)), 0.0, hand, width)
    assert not gate.filter(seen(PERIOD, at(0.5, 0.0, 0.02), confidence=0.2), PERIOD, hand, width)[1][0]


def test_a_reset_forgets_where_objects_were():
    gate = PoseGate()
    gate.filter(seen(0.0, at(0.5, 0.0, 0.02)), 0.0, AWAY, OPEN)
    gate.reset()
    assert gate.filter(seen(PERIOD, at(0.5, 0.4, 0.02)), PERIOD, AWAY, OPEN)[1] == [True]


def test_the_estimate_itself_is_left_as_the_tracker_made_it():
    gate, hand = PoseGate(), np.array([0.5, 0.0, 0.02, *GRIPPER_DOWN])
    gate.filter(seen(0.0, at(0.5, 0.0, 0.02)), 0.0, hand, CLOSED_ON_BOX)
    hidden = seen(PERIOD, at(0.9, 0.9, 0.9), confidence=0.1)
    assert gate.filter(hidden, PERIOD, hand, CLOSED_ON_BOX)[1] == [True]
    assert hidden.confidence == [0.1] and hidden.poses[0, 0] == 0.9


@pytest.mark.parametrize("wrong", [{"max_age": 0.0}, {"believed_again": 0}, {"hold_grasped": -1.0}])
def test_a_config_that_means_nothing_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PoseGateConfig(**wrong)
