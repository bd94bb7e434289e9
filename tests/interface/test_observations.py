from itertools import pairwise

import numpy as np

from ocrrl.interface.observations import (
    CONFIDENCE_THRESHOLD,
    OBJECT_FEATURES,
    Observation,
    residual_observation,
    residual_observation_dim,
)
from ocrrl.interface.seeds import RANGES, initial_state_seeds
from ocrrl.interface.tabletop_tasks import CUBE_LIFT


def observation(count=3):
    generator = np.random.default_rng(0)
    quaternion = np.array([0.0, 1.0, 0.0, 0.0])
    gripper = np.concatenate([generator.uniform(0.3, 0.6, (count, 3)), np.tile(quaternion, (count, 1))], axis=-1)
    objects = np.concatenate([generator.uniform(0.3, 0.6, (count, 1, 3)), np.ones((count, 1, 4)) / 2], axis=-1)
    return Observation(
        gripper, gripper.copy(), np.zeros((count, 7)), np.full(count, 0.04), objects, np.ones((count, 1))
    )


def test_dropout_and_low_confidence_zero_the_same_numbers():
    seen = observation()
    seen.object_confidence[1] = CONFIDENCE_THRESHOLD - 0.01
    base = np.zeros((3, 7))
    gated = residual_observation(seen, base, seen.confident())
    dropped = residual_observation(seen, base, np.array([[True], [False], [True]]))
    np.testing.assert_array_equal(gated, dropped)
    assert (gated[1, :OBJECT_FEATURES] == 0).all(), "features derived from a dropped pose are dropped with it"
    assert (gated[0, :OBJECT_FEATURES] != 0).any()


def test_a_dropped_pose_leaves_no_trace_of_where_the_object_was():
    here, there = observation(), observation()
    there.object_poses[..., :3] += 0.1
    hidden = np.zeros((3, 1), bool)
    np.testing.assert_array_equal(
        residual_observation(here, np.zeros((3, 7)), hidden), residual_observation(there, np.zeros((3, 7)), hidden)
    )


def test_the_length_is_as_announced():
    assert residual_observation(observation(), np.zeros((3, 7)), np.ones((3, 1), bool)).shape == (
        3,
        residual_observation_dim(CUBE_LIFT),
    )


def test_proprioception_does_not_depend_on_the_sign_of_a_quaternion():
    seen = observation()
    expected = seen.proprioception()
    seen.gripper_pose[:, 3:] *= -1
    np.testing.assert_array_equal(seen.proprioception(), expected)


def test_seed_ranges_are_disjoint():
    spans = sorted((r.start, r.stop) for r in RANGES.values())
    assert all(stop <= start for (_, stop), (start, _) in pairwise(spans))
    assert not set(initial_state_seeds("validation", 100)) & set(initial_state_seeds("test", 100))
