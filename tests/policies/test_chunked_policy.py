import numpy as np
import pytest

from ocrrl.interface.actions import MAX_TRANSLATION_STEP
from ocrrl.interface.observations import Observation
from ocrrl.policies.chunk_delay import ChunkDelay, measured_delay
from ocrrl.policies.chunked_policy import ChunkedPolicy, caught_up


class CountingVLA:
    """Its k-th answer to a robot at x holds the actions (x, k, index in the chunk, 0, ...)."""

    chunk_size = n_action_steps = 4

    def __init__(self):
        self.asked = []

    def predict_chunk(self, images, robot, instruction):
        x = robot.gripper_pose[:, 0]
        assert instruction == "lift it"
        assert len(images["front"]) == len(x)
        chunk = np.zeros((len(x), 4, 7), np.float32)
        chunk[:, :, 0] = x[:, None]
        chunk[:, :, 1] = len(self.asked)
        chunk[:, :, 2] = np.arange(4)
        self.asked.append(x)
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
    policy.reset(np.array([0]), [0])
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
        together.reset(again, again)
        for i in again:
            alone[i].reset(np.array([0]), [i])


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


def delayed(ticks: int, vla: object, num_envs: int = 1, **options) -> ChunkedPolicy:
    """A policy whose chunks are all `ticks` late."""
    policy = ChunkedPolicy(vla, "lift it", num_envs, delay=ChunkDelay((0.0,) * ticks + (1.0,)), **options)
    policy.reset(np.arange(num_envs), range(num_envs))
    return policy


class LongVLA(CountingVLA):
    """Its answer to a robot at x says x and the index in the chunk by the gripper (`told`), and moves by millimetres."""

    chunk_size = 16

    def predict_chunk(self, images, robot, instruction):
        x = robot.gripper_pose[:, 0]
        chunk = np.zeros((len(x), 16, 7), np.float32)
        chunk[:, :, 0] = 0.001 * (1 + x % 3)[:, None]
        chunk[:, :, 6] = (1 + 16 * x[:, None] + np.arange(16)) / 4096
        return chunk


def told(action: np.ndarray) -> tuple[int, int]:
    """Where the robot was that `LongVLA` answered, and the index in the chunk."""
    return divmod(round(4096 * float(action[6])) - 1, 16)


@pytest.mark.parametrize("d", range(5))
def test_a_late_chunk_is_used_from_its_own_index_on_and_before_the_first_one_the_arm_holds(d):
    policy = delayed(d, LongVLA())
    seen = [policy.act(observation(np.array([float(t)])), np.arange(1), capture)[0] for t in range(20)]
    for t, action in enumerate(seen):
        if t < d:
            assert not action.any(), "nothing moves, and closed fingers stay closed"
            continue
        asked = (t - d) // 4 * 4
        assert told(action) == (asked, t - asked)


@pytest.mark.parametrize("d", range(5))
def test_the_phase_is_the_place_of_the_action_in_its_chunk_and_the_delay(d):
    policy = delayed(d, LongVLA())
    for t in range(20):
        policy.act(observation(np.zeros(1)), np.arange(1), capture)
        place = 0 if t < d else t - (t - d) // 4 * 4 + 1
        np.testing.assert_allclose(policy.chunk_phase(np.arange(1)), [[place / 16, d / 16]])


@pytest.mark.parametrize("d", range(5))
def test_coming_actions_are_what_is_left_of_the_chunk_and_then_holding(d):
    policy, seen = delayed(d, LongVLA()), observation(np.zeros(1))
    seen.gripper_width[:] = 0.02
    for t in range(20):
        action = policy.act(seen, np.arange(1), capture)[0]
        (coming,) = policy.coming_actions(np.arange(1), 16)
        if t < d:
            np.testing.assert_allclose(coming[:, 6], 0.25, err_msg="it waits for a chunk and holds what it holds")
            assert not coming[:, :6].any()
            continue
        left = 15 - told(action)[1]
        assert [told(row)[1] for row in coming[:left]] == list(range(told(action)[1] + 1, 16))
        assert not coming[left:, :6].any() and len(np.unique(coming[max(left - 1, 0) :, 6])) == 1
        np.testing.assert_array_equal(policy.coming_actions(np.arange(1), 2)[0], coming[:2])


def test_until_the_first_chunk_the_fingers_stay_as_they_are():
    policy, seen = delayed(2, LongVLA()), observation(np.zeros(1))
    for width, opening in ((0.08, 1.0), (0.02, 0.25), (0.09, 1.0)):
        seen.gripper_width[:] = width
        policy.reset(np.arange(1), [0])
        np.testing.assert_allclose(policy.act(seen, np.arange(1), capture), [[0, 0, 0, 0, 0, 0, opening]])


@pytest.mark.parametrize("d", [1, 3, 4])
def test_the_motion_that_a_late_chunk_meant_while_it_was_waited_for_is_caught_up(d):
    class Slower(LongVLA):
        """3, 2, 1 mm a step, by the chunk."""

        def predict_chunk(self, images, robot, instruction):
            chunk = super().predict_chunk(images, robot, instruction)
            chunk[:, :, 0] = 0.003 - 0.001 * (robot.gripper_pose[:, :1] // 8)
            return chunk

    policy = delayed(d, Slower(), replan_every=8)
    moved = np.array([policy.act(observation(np.array([float(t)])), np.arange(1), capture)[0, 0] for t in range(32)])
    assert not moved[:d].any()
    for asked, step in ((0, 0.003), (8, 0.002), (16, 0.001)):
        until = asked + d + 8
        np.testing.assert_allclose(moved[asked:until].sum(), (d + 8) * step, atol=1e-7)
        assert np.ptp(moved[asked + d : until]) < 1e-8, "in equal parts"


def test_what_exceeds_the_limits_of_a_step_goes_over_to_the_next_ones_and_the_gripper_keeps_its_time():
    chunk, given = np.zeros((1, 12, 7), np.float32), np.zeros((1, 3, 7), np.float32)
    chunk[0, :, 1], chunk[0, :3, 5], chunk[0, :, 6] = 0.016, 0.09, np.linspace(0, 1, 12)
    caught = caught_up(chunk, given, 6)
    np.testing.assert_allclose(caught[0, 3:, 1], MAX_TRANSLATION_STEP, atol=1e-7)
    np.testing.assert_allclose(caught[0, 3:, 5].sum(), 0.27, atol=1e-6)
    np.testing.assert_array_equal(caught[0, :, 6], chunk[0, :, 6])
    np.testing.assert_array_equal(caught[0, :3], chunk[0, :3])


def test_d_is_the_episode_s_own_and_the_same_for_the_same_seed():
    delay = ChunkDelay((0.25, 0.0, 0.75))
    drawn = delay.of_episodes(range(2000))
    assert set(drawn.tolist()) == {0, 2} and abs((drawn == 2).mean() - 0.75) < 0.03
    assert delay.of_episodes([5, 7]).tolist() == [drawn[5], drawn[7]]
    policy = ChunkedPolicy(LongVLA(), "lift it", 2, delay=delay)
    slow, quick = int(np.flatnonzero(drawn == 2)[0]), int(np.flatnonzero(drawn == 0)[0])
    policy.reset(np.arange(2), [slow, quick])
    first = policy.act(observation(np.array([5.0, 5.0])), np.arange(2), capture)
    assert not first[0].any() and told(first[1]) == (5, 0)


def test_a_run_goes_on_from_its_state_in_the_middle_of_a_late_chunk():
    policy = delayed(3, LongVLA(), 2)
    for t in range(6):
        policy.act(observation(np.array([t, -t], float)), np.arange(2), capture)
    again = ChunkedPolicy(LongVLA(), "lift it", 2, delay=policy.delay)
    again.set_state(policy.get_state())
    for t in range(6, 20):
        seen = observation(np.array([t, -t], float))
        np.testing.assert_array_equal(policy.act(seen, np.arange(2), capture), again.act(seen, np.arange(2), capture))


@pytest.mark.parametrize(("replan_every", "ticks", "most"), [(8, 9, 8), (14, 3, 2), (2, 3, 2)])
def test_a_chunk_that_would_not_last_is_refused_with_what_would(replan_every, ticks, most):
    with pytest.raises(
        ValueError, match=f"lasts for a delay of at most {most} control steps, got {ticks}: lower n_action_steps"
    ):
        delayed(ticks, LongVLA(), replan_every=replan_every)


def test_measured_latencies_become_shares_of_whole_control_steps():
    assert measured_delay([0.003, 0.010]) == ChunkDelay((1.0,))
    assert measured_delay([0.049, 0.140, 0.150, 0.151]) == ChunkDelay((0.0, 0.25, 0.0, 0.5, 0.25))
    for wrong in ([], [0.1, 0.0], [float("nan")]):
        with pytest.raises(ValueError, match="latencies must be at least one positive number of seconds"):
            measured_delay(wrong)
    for shares in ((), (0.5,), (1.0, 0.0), (1.5, -0.5)):
        with pytest.raises(ValueError, match="shares must be at least 0, sum to 1 and end above 0"):
            ChunkDelay(shares)
