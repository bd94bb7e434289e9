import numpy as np
import pytest

from ocrrl.interface.observations import Observation
from ocrrl.policies.chunked_policy import ChunkedPolicy


class CountingVLA:
    """Its k-th answer to a robot at x holds the actions (x, k, index in the chunk, 0, ...)."""

    chunk_size = n_action_steps = 4

    def __init__(self):
        self.asked = []

    def predict_chunk(self, images, proprioception, instruction):
        assert instruction == "lift it"
        assert len(images["front"]) == len(proprioception)
        chunk = np.zeros((len(proprioception), 4, 7), np.float32)
        chunk[:, :, 0] = proprioception[:, :1]
        chunk[:, :, 1] = len(self.asked)
        chunk[:, :, 2] = np.arange(4)
        self.asked.append(proprioception[:, 0])
        return chunk


def observation(x: np.ndarray) -> Observation:
    pose = np.zeros((len(x), 7))
    pose[:, 0], pose[:, 4] = x, 1.0
    return Observation(
        pose, pose, np.zeros((len(x), 7)), np.zeros(len(x)), np.zeros((len(x), 1, 7)), np.ones((len(x), 1))
    )


def capture(ids):
    return {"front": np.zeros((len(ids), 8, 8, 3), np.uint8)}


@pytest.mark.parametrize("replan_every", [1, 3, 4])
def test_action_t_mod_h_of_the_latest_chunk_is_served(replan_every):
    policy = ChunkedPolicy(CountingVLA(), "lift it", num_envs=2, replan_every=replan_every)
    ids = np.arange(2)
    for t in range(9):
        actions = policy.act(observation(np.array([t, t + 100.0])), ids, capture)
        asked_at = t - t % replan_every
        assert np.array_equal(
            actions[:, :3],
            [[asked_at, t // replan_every, t % replan_every], [asked_at + 100, t // replan_every, t % replan_every]],
        )


def test_environments_out_of_step_are_asked_and_photographed_only_when_due():
    vla, photographed = CountingVLA(), []
    policy = ChunkedPolicy(vla, "lift it", num_envs=3)

    def photograph(ids):
        photographed.append(ids.tolist())
        return capture(ids)

    policy.act(observation(np.zeros(2)), np.array([0, 2]), photograph)
    policy.act(observation(np.array([7.0, 8.0])), np.array([1, 2]), photograph)
    policy.reset(np.array([0]))
    actions = policy.act(observation(np.array([30.0, 20.0, 10.0])), np.array([2, 1, 0]), photograph)
    assert photographed == [[0, 2], [1], [0]]
    assert np.array_equal(actions[:, 0], [0.0, 7.0, 10.0])
    assert np.array_equal(actions[:, 2], [2.0, 1.0, 0.0])


def test_a_batch_acts_as_its_environments_would_one_by_one():
    generator = np.random.default_rng(0)
    together = ChunkedPolicy(CountingVLA(), "lift it", num_envs=4, replan_every=3)
    alone = [ChunkedPolicy(CountingVLA(), "lift it", num_envs=1, replan_every=3) for _ in range(4)]
    columns = [0, 2, 3, 4, 5, 6]  # all but the count of calls to the VLA
    for _ in range(20):
        ids = np.flatnonzero(generator.random(4) < 0.7)
        x = generator.normal(size=len(ids))
        actions = together.act(observation(x), ids, capture)
        for k, i in enumerate(ids):
            one = alone[i].act(observation(x[k : k + 1]), np.array([0]), capture)
            assert np.array_equal(actions[k, columns], one[0, columns])
        again = np.flatnonzero(generator.random(4) < 0.1)
        together.reset(again)
        for i in again:
            alone[i].reset(np.array([0]))


def test_served_actions_are_copies():
    policy = ChunkedPolicy(CountingVLA(), "lift it", num_envs=1)
    policy.act(observation(np.zeros(1)), np.array([0]), capture)[:] = 9.0
    assert policy.act(observation(np.zeros(1)), np.array([0]), capture)[0, 2] == 1.0


@pytest.mark.parametrize("replan_every", [0, 5])
def test_replanning_outside_the_chunk_is_refused(replan_every):
    with pytest.raises(
        ValueError, match=rf"replan_every must be in \[1, 4\], the VLA's chunk size, got {replan_every}"
    ):
        ChunkedPolicy(CountingVLA(), "lift it", num_envs=1, replan_every=replan_every)
