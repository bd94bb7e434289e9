"""A slow VLA on the arm: chunks are predicted by a worker, late as in training, and the control loop never waits for one."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ocrrl.interface.actions import ACTION_DIM
from ocrrl.interface.observations import Observation
from ocrrl.interface.protocols import VLA, Capture
from ocrrl.policies.chunked_policy import ChunkedPolicy, caught_up, coming, held, require_lasts


@contextmanager
def on_the_clock(policy: ChunkedPolicy) -> Iterator["ChunkedPolicy | AsyncChunkedPolicy"]:
    """`policy` for an arm, whose clock runs on: chunks that are late are waited for by a worker, which ends with the block."""
    delay = policy.delay.on_the_arm
    if delay == 0:  # within `chunk_delay.AT_ONCE`
        yield policy
        return
    late = AsyncChunkedPolicy(policy.vla, policy.instruction, delay, policy.replan_every)
    try:
        yield late
    finally:
        late.close()
        print(
            f"chunks: {late.late} later than {delay} control steps, {late.held_steps} control steps held without an action"
        )


@dataclass
class _Request:
    """A chunk that was asked for at the episode's step `asked`; its answer is for nobody once the episode is over."""

    asked: int
    answer: Future[Float[np.ndarray, "1 H 7"]]
    current: bool = True


class AsyncChunkedPolicy:
    """`interface.protocols.Policy` for one arm: `ChunkedPolicy` with a delay of `delay` control steps, which is really taken.

    One request is in flight at a time. Its answer is used from step asked + d on, never sooner, so that the arm acts as the
    simulator did; after a later answer from its arrival on. Until then the chunk before goes on while it lasts; then the arm
    holds: no motion, the fingers as they were commanded last.
    """

    def __init__(
        self,
        vla: VLA,
        instruction: str,
        delay: int,
        replan_every: int | None = None,
        worker: Executor | None = None,
    ):
        """`delay` is d, at least 1; ValueError where a chunk does not last (`require_lasts`). `close` ends the worker."""
        self.replan_every = vla.n_action_steps if replan_every is None else replan_every
        require_lasts(vla.chunk_size, self.replan_every, delay)
        self.vla, self.instruction, self.delay = vla, instruction, delay
        self.late = 0
        """Answers so far that came after the step in which they were to be used."""
        self.held_steps = 0
        """Control steps so far, after an episode's first chunk, that had no action left."""
        self._worker = worker or ThreadPoolExecutor(1, thread_name_prefix="vla")
        self._request: _Request | None = None
        self._begin()

    def reset(self, ids: Int[np.ndarray, " n"], seeds: Sequence[int]) -> None:
        """Begin a new episode; what is still in flight is waited for by nobody."""
        self._begin()
        if self._request is not None:
            self._request.current = False
            self._request.answer.cancel()

    def act(self, observation: Observation, ids: Int[np.ndarray, " n"], capture: Capture) -> Float[np.ndarray, "1 7"]:
        """The arm's next action, float32. Raises what the VLA raised, at the first step after it."""
        step, self._step = self._step, self._step + 1
        self._take_answer(step)
        if self._request is None and step >= self._next_question:
            images = {camera: np.array(frames) for camera, frames in capture(ids).items()}
            answer = self._worker.submit(self.vla.predict_chunk, images, observation, self.instruction)
            self._request, self._next_question = _Request(step, answer), step + self.replan_every
        if self._next is not None and step >= self._next[0] + self.delay:
            (asked, actions), self._next = self._next, None
            given = np.array(self._given[asked:])
            if len(given) < len(actions):
                (actions,) = caught_up(actions[None], given[None], self.replan_every)
            self._chunk = asked, actions
        action = held(observation)
        if self._chunk is not None:
            asked, actions = self._chunk
            self._place = min(step - asked, len(actions) - 1) + 1
            if step - asked < len(actions):
                action[0] = actions[step - asked]
            else:
                action[0, 6] = self._gripper
                self.held_steps += 1
        self._gripper = action[0, 6]
        self._given.append(action[0].copy())
        return action

    @property
    def largest_delay(self) -> int:
        """As `interface.protocols.ActsInChunks`."""
        return self.delay

    def chunk_phase(self, ids: Int[np.ndarray, " n"]) -> Float[np.ndarray, "1 2"]:
        """As `interface.protocols.ActsInChunks`; 1 while the last action of a chunk is over."""
        return np.array([[self._place, self.delay]]) / self.vla.chunk_size

    def coming_actions(self, ids: Int[np.ndarray, " n"], count: int) -> Float[np.ndarray, "1 count 7"]:
        """As `interface.protocols.ShowsComingActions`."""
        first, actions = (
            (1, np.zeros((1, ACTION_DIM), np.float32)) if self._chunk is None else (self._place, self._chunk[1])
        )
        return coming(actions[None], np.array([first]), np.array([self._gripper]), count)

    def close(self) -> None:
        """End the worker; a request in flight is not waited for."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> None:
        self._step = self._next_question = self._place = 0
        self._chunk: tuple[int, Float[np.ndarray, "H 7"]] | None = None
        self._next: tuple[int, Float[np.ndarray, "H 7"]] | None = None
        self._gripper = np.float32(1.0)
        self._given: list[Float[np.ndarray, " 7"]] = []  # the episode's actions so far

    def _take_answer(self, step: int) -> None:
        request = self._request
        if request is None or not request.answer.done():
            return
        self._request = None
        if request.current:
            (chunk,) = request.answer.result()
            self._next = request.asked, chunk
            self.late += step > request.asked + self.delay
