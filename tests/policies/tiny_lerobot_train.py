"""The child of a training by `lerobot-train`, in which a pi0.5 is tiny as in the test, and which can be killed in a step."""

import os
import signal
from typing import Any

import pytest

from ocrrl.policies.lerobot_training import child
from tests.policies.tiny_pi05 import make_pi05_tiny

KILLED_IN = "TEST_KILLED_IN_STEP"
"""Environment variable: the step in which the process is killed; none, where it is absent."""


def kill_in(step: int) -> None:
    from lerobot.scripts import lerobot_train

    update, begun = lerobot_train.update_policy, []

    def counted(tracker: Any, *arguments: Any, **named: Any) -> Any:
        begun.append(tracker)
        if tracker.steps + 1 == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return update(tracker, *arguments, **named)

    lerobot_train.update_policy = counted


if __name__ == "__main__":
    make_pi05_tiny(pytest.MonkeyPatch())
    if KILLED_IN in os.environ:
        kill_in(int(os.environ[KILLED_IN]))
    child.main()
