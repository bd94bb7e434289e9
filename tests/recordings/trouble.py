"""An object whose methods do what damaged files make libraries do."""

import os
import signal
import time

import numpy as np

from ocrrl.episodes.episode_checks import EpisodeRejected


class Trouble:
    def __init__(self, name: str) -> None:
        self._name = name

    def answer(self, values: np.ndarray) -> tuple[str, np.ndarray, int]:
        return self._name, 2 * values, os.getpid()

    def crash(self) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)

    def leave(self) -> None:
        os._exit(3)

    def spin(self) -> None:
        while True:
            pass

    def sleep(self) -> None:
        time.sleep(60)

    def eat(self, size: int) -> int:
        return int(np.ones(size, np.uint8)[::4096].sum())

    def refuse(self) -> None:
        raise EpisodeRejected("action", "small", "large")

    def stumble(self) -> None:
        raise KeyError("steps")
