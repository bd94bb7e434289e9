"""A slow VLA on one arm, with a worker whose answers come when the test says."""

import threading
import time
from concurrent.futures import Executor, Future

import numpy as np
import pytest

from ocrrl.policies.async_chunked_policy import AsyncChunkedPolicy, on_the_clock
from ocrrl.policies.chunk_delay import ChunkDelay
from ocrrl.policies.chunked_policy import ChunkedPolicy
from tests.policies.test_chunked_policy import LongVLA, capture, delayed, observation, told

ONE = np.arange(1)


class Worker(Executor):
    """Answers a question `steps` control steps after it was asked; never by itself."""

    def __init__(self, steps):
        self.steps, self.now, self.waiting, self.asked = steps, 0, [], []

    def submit(self, function, /, *arguments):
        future = Future()
        future.set_running_or_notify_cancel()
        self.asked.append(self.now)
        self.waiting.append((self.now + self.steps(len(self.asked) - 1), future, function, arguments))
        assert len(self.waiting) == 1, "one request in flight"
        return future

    def tick(self):
        """One control step later."""
        self.now += 1
        for entry in [entry for entry in self.waiting if entry[0] <= self.now]:
            self.waiting.remove(entry)
            _, future, function, arguments = entry
            try:
                future.set_result(function(*arguments))
            except RuntimeError as error:
                future.set_exception(error)

    def shutdown(self, wait=True, *, cancel_futures=False):
        assert not wait


def run(policy, worker, steps, first=0, phases=None, coming=None):
    actions = []
    for t in range(first, first + steps):
        actions.append(policy.act(observation(np.array([float(t)])), ONE, capture)[0])
        if phases is not None:
            phases.append(policy.chunk_phase(ONE)[0])
        if coming is not None:
            coming.append(policy.coming_actions(ONE, 20)[0])
        worker.tick()
    return np.array(actions)


@pytest.mark.parametrize("d", [1, 3, 4])
@pytest.mark.parametrize("early", [False, True])
def test_answers_in_time_give_what_the_simulator_s_policy_does(d, early):
    worker = Worker(lambda k: 1 if early else d)
    policy = AsyncChunkedPolicy(LongVLA(), "lift it", d, worker=worker)
    simulated = delayed(d, LongVLA())
    expected, expected_phases, phases, expected_coming, coming = [], [], [], [], []
    for t in range(30):
        expected.append(simulated.act(observation(np.array([float(t)])), ONE, capture)[0])
        expected_phases.append(simulated.chunk_phase(ONE)[0])
        expected_coming.append(simulated.coming_actions(ONE, 20)[0])
    np.testing.assert_array_equal(run(policy, worker, 30, phases=phases, coming=coming), expected)
    np.testing.assert_array_equal(phases, expected_phases)
    np.testing.assert_array_equal(coming, expected_coming)
    assert (policy.late, policy.held_steps) == (0, 0) and worker.asked == list(range(0, 30, 4))


def test_a_late_answer_finds_the_old_chunk_going_on_and_is_used_at_its_own_index():
    worker = Worker(lambda k: 6 if k == 1 else 3)
    policy = AsyncChunkedPolicy(LongVLA(), "lift it", 3, worker=worker)
    actions = run(policy, worker, 16)
    assert [told(a) for a in actions[3:10]] == [(0, t) for t in range(3, 10)], "asked at 4, there at 10"
    assert told(actions[10]) == (4, 6) and policy.late == 1 and policy.held_steps == 0
    assert worker.asked == [0, 4, 10, 14], "the next question comes with the late answer"


def test_when_no_action_is_left_the_arm_holds_with_its_fingers_as_commanded_and_it_is_counted():
    class Closing(LongVLA):
        def predict_chunk(self, *seen):
            chunk = super().predict_chunk(*seen)
            chunk[:, :, 6] = 0.5
            return chunk

    worker = Worker(lambda k: 3 if k == 0 else 1000)
    policy = AsyncChunkedPolicy(Closing(), "lift it", 3, worker=worker)
    actions = run(policy, worker, 20)
    assert actions[15][0] > 0 and policy.held_steps == 4
    np.testing.assert_array_equal(actions[16:], [[0, 0, 0, 0, 0, 0, 0.5]] * 4)


def test_an_answer_to_the_last_episode_s_question_is_never_used():
    worker = Worker(lambda k: 5)
    policy = AsyncChunkedPolicy(LongVLA(), "lift it", 3, worker=worker)
    run(policy, worker, 2)
    policy.reset(ONE, [1])
    actions = run(policy, worker, 12, first=100)
    asked = worker.asked[1] - 2  # of this episode, when the old request had come back
    assert asked > 0 and not actions[: asked + 5].any() and told(actions[asked + 5]) == (100 + asked, 5)


def test_what_the_vla_raises_reaches_the_loop():
    class Broken(LongVLA):
        def predict_chunk(self, *seen):
            raise RuntimeError("the server is gone")

    worker = Worker(lambda k: 2)
    policy = AsyncChunkedPolicy(Broken(), "lift it", 3, worker=worker)
    run(policy, worker, 2)
    with pytest.raises(RuntimeError, match="the server is gone"):
        policy.act(observation(np.zeros(1)), ONE, capture)


def test_images_are_the_request_s_own():
    seen = []

    class Watching(LongVLA):
        def predict_chunk(self, images, *rest):
            seen.append(images["front"].copy())
            return super().predict_chunk(images, *rest)

    frames, worker = np.zeros((1, 8, 8, 3), np.uint8), Worker(lambda k: 3)
    policy = AsyncChunkedPolicy(Watching(), "lift it", 3, worker=worker)
    policy.act(observation(np.zeros(1)), ONE, lambda ids: {"front": frames})
    frames[:] = 255  # the camera's next frame, in the same memory
    for _ in range(3):
        worker.tick()
    assert not seen[0].any()


def test_the_real_worker_never_lets_the_loop_wait():
    release = threading.Event()

    class Slow(LongVLA):
        def predict_chunk(self, *seen):
            assert release.wait(10)
            return super().predict_chunk(*seen)

    policy = AsyncChunkedPolicy(Slow(), "lift it", 1)
    begun = time.perf_counter()
    for _ in range(50):
        policy.act(observation(np.zeros(1)), ONE, capture)
    assert time.perf_counter() - begun < 5, "the answer never came"
    release.set()
    policy.close()


def test_on_an_arm_chunks_have_the_delay_that_nineteen_of_twenty_answers_are_in_time_for(capsys):
    quick = ChunkedPolicy(LongVLA(), "lift it", 1, delay=ChunkDelay((0.96, 0.04)))
    with on_the_clock(quick) as acting:
        assert acting is quick
    slow = ChunkedPolicy(LongVLA(), "lift it", 1, delay=ChunkDelay((0.0, 0.5, 0.45, 0.05)))
    with on_the_clock(slow) as acting:
        assert (acting.delay, acting.replan_every, acting.vla) == (2, 4, slow.vla)
        acting.act(observation(np.zeros(1)), ONE, capture)
    assert "chunks: 0 later than 2 control steps, 0 control steps held" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match="shutdown"):  # the worker has ended with the block
        acting._worker.submit(print)
