from dataclasses import replace

import numpy as np
import pytest

from ocrrl.episodes.episode_store import read_episode, write_episode
from ocrrl.interface.actions import MAX_ROTATION_STEP, MAX_TRANSLATION_STEP, compose, step_between
from ocrrl.interface.protocols import ActsInChunks, Interruptible, chunk_phase
from ocrrl.policies.async_chunked_policy import AsyncChunkedPolicy
from ocrrl.policies.chunk_delay import ChunkDelay
from ocrrl.policies.chunked_policy import ChunkedPolicy
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.interruptible_policy import InterruptiblePolicy
from ocrrl.rollouts.rollout_recorder import RolloutRecorder
from ocrrl.worlds import make_simulator
from tests.policies.test_async_chunked_policy import Worker
from tests.policies.test_chunked_policy import LongVLA, capture, delayed, observation, told
from tests.rollouts.toy_environment import ToyBase, ToyEnvironment, ToyResidual

ONE = np.arange(1)
PUSH = np.array([0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 0.2])


class Hand:
    """Acts at the steps of `held`, with `actions` in turn."""

    def __init__(self, *held, actions=(PUSH,)):
        self.held, self.actions, self.openings, self._step = held, actions, [], -1

    def reset(self, ids, seeds):
        self._step = -1

    def act(self, observation, ids, capture, openings):
        self._step += 1
        self.openings.append(openings.tolist())
        action = self.actions[self._step % len(self.actions)]
        return np.full(len(ids), self._step in self.held), np.tile(action, (len(ids), 1))


def recorded(base, residual, steps=30, environment=None):
    recorder = RolloutRecorder(environment or ToyEnvironment(1), "policy", policy=base)
    recorder.seeds = {7}
    run_episodes(environment or ToyEnvironment(1), base, residual, [7], recorder)
    return recorder.episodes[7]


def test_the_hand_acts_alone_while_it_holds_and_its_rows_are_marked(tmp_path):
    push = ToyResidual(lambda states: np.tile(np.float32([0, 0.001, 0, 0, 0, 0, 0]), (len(states), 1)), every=4)
    base = InterruptiblePolicy(ToyBase(speed=0.0), Hand(5, 6, 7, 12), 1)
    assert isinstance(base, Interruptible)
    with pytest.raises(ValueError, match="must be false for a base without chunks, got ToyBase"):
        chunk_phase(base, ONE)
    episode = recorded(base, push)
    held = [5, 6, 7, 12]
    assert np.flatnonzero(episode.intervention).tolist() == held
    assert episode.interventions() == ((5, 8), (12, 13))
    np.testing.assert_allclose(episode.action[held], np.tile(PUSH, (4, 1)), atol=1e-8)
    np.testing.assert_allclose(episode.action, compose(episode.base_action, episode.residual), atol=1e-7)
    # The correction that was asked for before the hand acted is not taken up again: the next comes at a multiple of 4.
    assert np.flatnonzero(episode.residual[:16, 1] == 0).tolist() == [5, 6, 7, 12, 13, 14, 15]
    write_episode(tmp_path / "episode.h5", episode)
    assert read_episode(tmp_path / "episode.h5").interventions() == episode.interventions()


def test_an_episode_in_which_nobody_steps_in_has_the_bytes_of_one_in_which_nobody_could(tmp_path):
    for name, base in (("alone", ToyBase()), ("watched", InterruptiblePolicy(ToyBase(), Hand(), 1))):
        episode = recorded(base, None)
        assert episode.intervention is None and episode.interventions() == ()
        write_episode(tmp_path / f"{name}.h5", episode)
    assert (tmp_path / "alone.h5").read_bytes() == (tmp_path / "watched.h5").read_bytes()


def test_only_the_environment_that_is_taken_over_is_and_its_policy_begins_anew():
    class Second(Hand):
        def act(self, observation, ids, capture, openings):
            acting, actions = super().act(observation, ids, capture, openings)
            return acting & (ids == 1), actions

    base = ToyBase(speed=0.0)
    outcomes = run_episodes(
        ToyEnvironment(3), InterruptiblePolicy(base, Second(2, 3), 3), None, [1, 2, 3], keep_traces=True
    )
    moved = [outcome.trace.base_actions[:6, 0].tolist() for outcome in outcomes]
    assert moved[0] == moved[2] == [0] * 6
    np.testing.assert_allclose(moved[1], [0, 0, 0.01, 0.01, 0, 0], rtol=1e-6)
    assert base.resets == [[0, 1, 2], [1]]


def act(policy, worker, steps):
    actions = []
    for t in range(steps):
        actions.append(policy.act(observation(np.array([float(t)])), ONE, capture)[0])
        policy.applied(ONE, actions[-1][None])
        worker.tick()
    return actions


def test_a_new_chunk_is_asked_for_on_give_back_and_none_while_the_hand_holds():
    photographed = []

    def photograph(ids):
        photographed.append(len(actions))
        return capture(ids)

    policy, actions = InterruptiblePolicy(delayed(0, LongVLA()), Hand(2, 3, 4, 5), 1), []
    policy.reset(ONE, [0])
    for t in range(11):
        actions.append(policy.act(observation(np.array([float(t)])), ONE, photograph)[0])
    asked_at = [told(actions[t]) for t in (0, 1, 6, 7, 8, 9, 10)]
    assert asked_at == [(0, 0), (0, 1), (6, 0), (6, 1), (6, 2), (6, 3), (10, 0)]
    assert photographed == [0, 6, 10], "the VLA is asked every four steps of its own"


@pytest.mark.parametrize("slow", [3, 9])
def test_what_a_late_server_was_asked_before_the_hand_took_over_is_dropped(slow):
    """Asked at 0, 4 and 8; the hand takes over at 9 and gives back at 11, before the answer of 8 is there."""
    worker = Worker(lambda k: slow if k == 2 else 3)
    policy = InterruptiblePolicy(AsyncChunkedPolicy(LongVLA(), "lift it", 3, worker=worker), Hand(9, 10), 1)
    policy.reset(ONE, [0])
    actions = act(policy, worker, 26)
    first = worker.asked[3]
    assert first == max(11, 8 + slow), (
        "one request in flight: the old answer is waited for by nobody, then the new is asked for"
    )
    chunk_begins = first + 3
    for t in range(11, chunk_begins):
        np.testing.assert_array_equal(actions[t][:6], 0.0)
    assert told(actions[chunk_begins]) == (first, 3)


@pytest.mark.parametrize("late", [True, False])
def test_an_arm_that_waits_for_the_chunk_after_a_give_back_keeps_the_fingers_as_the_hand_left_them(late):
    """The measured width of something held would be commanded as a wider opening, and the grip be lost."""
    worker = Worker(lambda k: 3)
    shares = ChunkDelay((0.0, 0.0, 0.0, 1.0))
    base = (
        AsyncChunkedPolicy(LongVLA(), "lift it", 3, worker=worker)
        if late
        else ChunkedPolicy(LongVLA(), "lift it", 1, delay=shares)
    )
    closed = np.array([0.0, 0, 0, 0, 0, 0, 0.1])
    policy = InterruptiblePolicy(base, Hand(6, 7, actions=(closed,)), 1)
    policy.reset(ONE, [0])
    actions = act(policy, worker, 12)
    assert isinstance(policy, ActsInChunks) and chunk_phase(policy, ONE).shape == (1, 2)
    np.testing.assert_allclose([action[6] for action in actions[6:11]], 0.1, atol=1e-7)
    assert actions[0][6] == 0.0, "at the start the fingers stay as they are measured, as before"


def test_the_hand_is_told_the_opening_that_was_applied_not_the_one_the_base_asked_for():
    closing = ToyResidual(lambda states: np.tile(np.float32([0, 0, 0, 0, 0, 0, 0.25]), (len(states), 1)))
    hand = Hand(4)
    run_episodes(ToyEnvironment(1), InterruptiblePolicy(ToyBase(speed=0.0), hand, 1), closing, [7])
    np.testing.assert_allclose(np.ravel(hand.openings[:6]), [1.0, 0.25, 0.25, 0.25, 0.25, 0.2])


def test_at_any_moment_of_taking_over_and_giving_back_the_commanded_pose_moves_within_the_step_limits():
    """Law: random moments, and actions of either side in random directions, most of them beyond the limits."""
    generator = np.random.default_rng(3)
    environment, n, steps = make_simulator("cube_lift", 4), 4, 60
    held = generator.random((steps, n)) < np.repeat(generator.random((steps // 6, n)), 6, axis=0)

    class Wild:
        def reset(self, ids, seeds): ...

        def act(self, observation, ids, capture, openings=None):
            directions = generator.normal(scale=[0.02] * 3 + [0.1] * 3 + [1.0], size=(len(ids), 7))
            return directions if openings is None else (held[len(poses) - 1, ids], directions)

    poses = []

    class Watched:
        """The simulator, whose commanded poses are noted."""

        def __getattr__(self, name):
            return getattr(environment, name)

        def observe(self):
            poses.append(environment.commanded_pose.copy())
            return environment.observe()

    policy = InterruptiblePolicy(Wild(), Wild(), n)
    watched = Watched()
    environment.tabletop_task = replace(environment.tabletop_task, horizon=steps)
    run_episodes(watched, policy, None, [11, 12, 13, 14])
    moved = step_between(np.array(poses[:-1]), np.array(poses[1:]))
    changes = np.diff(held.astype(int), axis=0)
    assert min((changes == 1).sum(), (changes == -1).sum()) > 10
    assert np.abs(moved[..., :3]).max() <= MAX_TRANSLATION_STEP + 1e-6
    assert np.linalg.norm(moved[..., 3:], axis=-1).max() <= MAX_ROTATION_STEP + 1e-6
