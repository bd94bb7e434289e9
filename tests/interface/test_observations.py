from itertools import pairwise

import numpy as np
import pytest

from ocrrl.interface.observations import (
    CONFIDENCE_THRESHOLD,
    OBJECT_FEATURES,
    OFFSET_FEATURES,
    Observation,
    distance_features,
    residual_observation,
    residual_observation_dim,
)
from ocrrl.interface.seeds import RANGES, initial_state_seeds
from ocrrl.tabletop.registry import slugs, tabletop_task


def observation(count=3, objects=1):
    generator = np.random.default_rng(0)
    quaternion = np.array([0.0, 1.0, 0.0, 0.0])
    gripper = np.concatenate([generator.uniform(0.3, 0.6, (count, 3)), np.tile(quaternion, (count, 1))], axis=-1)
    positions, quaternions = generator.uniform(0.3, 0.6, (count, objects, 3)), np.ones((count, objects, 4)) / 2
    return Observation(
        gripper,
        gripper.copy(),
        np.zeros((count, 7)),
        np.full(count, 0.04),
        np.concatenate([positions, quaternions], axis=-1),
        np.ones((count, objects)),
    )


def test_dropout_and_low_confidence_zero_the_same_numbers():
    seen = observation()
    seen.object_confidence[1] = CONFIDENCE_THRESHOLD - 0.01
    base = np.zeros((3, 7))
    gated = residual_observation(seen, base, seen.visible())
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


@pytest.mark.parametrize("task", [tabletop_task(slug) for slug in slugs()], ids=lambda task: task.slug)
def test_the_length_is_as_announced(task):
    objects = len(task.objects)
    state = residual_observation(observation(objects=objects), np.zeros((3, 7)), np.ones((3, objects), bool))
    assert state.shape == (3, residual_observation_dim(task))


def test_a_chunk_s_phase_comes_last_and_changes_nothing_else():
    (task, seen), phase = (tabletop_task("cube_lift"), observation()), np.array([[0.1, 0.2], [0.3, 0.2], [0.5, 0.2]])
    without, with_phase = (
        residual_observation(seen, np.zeros((3, 7)), np.ones((3, 1), bool), given) for given in (None, phase)
    )
    np.testing.assert_array_equal(with_phase, np.concatenate([without, phase.astype(np.float32)], axis=-1))
    assert with_phase.shape == (3, residual_observation_dim(task, chunk_phase=True))


def test_a_millimetre_counts_near_a_thing_and_a_decimetre_far_from_it():
    near, far = (distance_features(np.array(distances)) for distances in ([-0.001, 0.001], [0.1, 0.2]))
    assert near == pytest.approx([-0.05, 0.05], rel=0.01), "in proportion: 1 cm is half a unit"
    assert far == pytest.approx(0.5 * np.log(2 * np.array([10.0, 20.0])), rel=0.01), "by its logarithm"


def test_where_a_second_object_lies_from_the_first_is_seen_only_while_both_are():
    seen, base = observation(objects=2), np.zeros((3, 7))
    offsets = slice(2 * OBJECT_FEATURES, 2 * OBJECT_FEATURES + OFFSET_FEATURES)
    both = residual_observation(seen, base, np.ones((3, 2), bool))[:, offsets]
    apart = seen.object_poses[:, 1, :3] - seen.object_poses[:, 0, :3]
    np.testing.assert_allclose(both, distance_features(apart), atol=1e-6)
    for visible in ([True, False], [False, True]):
        assert not residual_observation(seen, base, np.tile(visible, (3, 1)))[:, offsets].any()


def test_proprioception_does_not_depend_on_the_sign_of_a_quaternion():
    seen = observation()
    expected = seen.proprioception()
    seen.gripper_pose[:, 3:] *= -1
    np.testing.assert_array_equal(seen.proprioception(), expected)


def test_seed_ranges_are_disjoint():
    spans = sorted((r.start, r.stop) for r in RANGES.values())
    assert all(stop <= start for (_, stop), (start, _) in pairwise(spans))
    assert not set(initial_state_seeds("validation", 100)) & set(initial_state_seeds("test", 100))
