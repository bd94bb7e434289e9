"""Dynamic batching: questions of several clients are answered by one forward pass.

Legend: n robots of one question, H actions in a chunk.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, fields

import numpy as np
from jaxtyping import Float

from ocrrl.interface.observations import Images, RobotState

Predict = Callable[[Images, RobotState, str], Float[np.ndarray, "n H 7"]]
Chunks = Float[np.ndarray, "n H 7"]


@dataclass
class Counters:
    """What a server has done so far."""

    requests: int = 0
    failures: int = 0
    batches: int = 0
    robots: int = 0
    seconds: float = 0.0
    """In the model."""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def add(self, **amounts: float) -> None:
        """Count `amounts` by field, from any thread."""
        with self._lock:
            for name, amount in amounts.items():
                setattr(self, name, getattr(self, name) + amount)

    def text(self) -> str:
        """In Prometheus' format."""
        values = ((each.name, getattr(self, each.name)) for each in fields(self))
        return "".join(
            f"# TYPE ocrrl_vla_{name}_total counter\nocrrl_vla_{name}_total {value:g}\n" for name, value in values
        )


@dataclass
class _Waiting:
    images: Images
    robot: RobotState
    instruction: str
    answer: Future[Chunks] = field(default_factory=Future)

    def __len__(self) -> int:
        return len(self.robot.gripper_width)


class Batcher:
    """Collects questions with the same instruction until there are `max_batch` robots or the oldest has waited `max_wait` [s]."""

    def __init__(self, predict: Predict, max_batch: int, max_wait: float, counters: Counters) -> None:
        """`predict` is called by one thread of the batcher's own, with at most `max_batch` robots; `close` ends it."""
        self._predict, self._max_batch, self._max_wait, self._counters = predict, max_batch, max_wait, counters
        self._waiting: list[_Waiting] = []
        self._changed = threading.Condition()
        self._over = False
        self._thread = threading.Thread(target=self._run, name="batcher", daemon=True)
        self._thread.start()

    def submit(self, images: Images, robot: RobotState, instruction: str) -> Future[Chunks]:
        """The chunks for the robots of one question, or what the model raised; RuntimeError after `close`."""
        question = _Waiting(images, robot, instruction)
        with self._changed:
            if self._over:
                raise RuntimeError("the server must be open, it is closing")
            self._waiting.append(question)
            self._changed.notify_all()
        return question.answer

    def close(self) -> None:
        """Answer what waits, then end."""
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next():
            begun = time.perf_counter()
            try:
                chunks = self._chunks(batch)
            except Exception as error:  # the model's own, whichever: it belongs to those who asked
                for question in batch:
                    question.answer.set_exception(error)
                continue
            finally:
                self._counters.add(batches=1, robots=sum(map(len, batch)), seconds=time.perf_counter() - begun)
            for question in batch:
                question.answer.set_result(chunks[: len(question)])
                chunks = chunks[len(question) :]

    def _next(self) -> list[_Waiting]:
        """The questions to answer together; empty at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._over)
            self._changed.wait_for(lambda: self._over or self._full(), self._max_wait)
            batch: list[_Waiting] = []
            later: list[_Waiting] = []
            for question in self._waiting:
                fits = not batch or (
                    question.instruction == batch[0].instruction
                    and sum(map(len, batch)) + len(question) <= self._max_batch
                )
                (batch if fits else later).append(question)
            self._waiting = later
            return batch

    def _full(self) -> bool:
        first = self._waiting[0].instruction
        return sum(len(each) for each in self._waiting if each.instruction == first) >= self._max_batch

    def _chunks(self, batch: list[_Waiting]) -> Chunks:
        images = {name: np.concatenate([each.images[name] for each in batch]) for name in batch[0].images}
        states = [each.robot.arrays() for each in batch]
        robot = RobotState(**{name: np.concatenate([state[name] for state in states]) for name in states[0]})
        parts = [slice(first, first + self._max_batch) for first in range(0, len(robot.gripper_width), self._max_batch)]
        chunks = [
            self._predict(
                {name: frames[part] for name, frames in images.items()}, _rows(robot, part), batch[0].instruction
            )
            for part in parts
        ]
        return np.concatenate(chunks)


def _rows(robot: RobotState, part: slice) -> RobotState:
    return RobotState(**{name: value[part] for name, value in robot.arrays().items()})
