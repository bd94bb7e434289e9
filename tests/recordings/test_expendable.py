import os

import numpy as np
import pytest

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.recordings import expendable
from ocrrl.recordings.expendable import Expendable, ProcessEnded, UnforeseenError
from tests.recordings.trouble import Trouble


@pytest.fixture
def process():
    with Expendable(Trouble, "it", max_bytes=400_000_000) as process:
        yield process


def test_a_call_is_answered_by_another_process(process):
    name, doubled, pid = process.call("answer", np.arange(1000.0), cpu_seconds=5)
    assert name == "it" and pid != os.getpid()
    np.testing.assert_array_equal(doubled, 2 * np.arange(1000.0))
    doubled[0] = 1  # the caller's own


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("crash", (), r"^ended the process \(signal 11\)$"),
        ("leave", (), r"^ended the process \(exit code 3\)$"),
        ("spin", (), r"^took longer than 0 s of processor time$"),
        ("eat", (700_000_000,), r"^needed more than 0.4 GB \(max_episode_gb\)$"),
    ],
)
def test_the_caller_outlives_what_ends_the_process_and_the_next_call_starts_it_anew(
    process, method, arguments, message
):
    with pytest.raises(ProcessEnded, match=message):
        process.call(method, *arguments, cpu_seconds=0 if method == "spin" else 5)
    assert process.call("answer", np.zeros(1), cpu_seconds=5)[0] == "it"
    assert process.call("eat", 30_000_000, cpu_seconds=5) > 0


def test_one_that_waits_for_ever_is_ended(process, monkeypatch):
    monkeypatch.setattr(expendable, "_WALL_LEAST", 0.3)
    with pytest.raises(ProcessEnded, match=r"took longer than 0 s"):
        process.call("sleep", cpu_seconds=0.01)
    monkeypatch.undo()
    assert process.call("answer", np.zeros(1), cpu_seconds=5)[0] == "it"


def test_a_refusal_is_one_and_any_other_error_comes_with_its_traceback(process):
    with pytest.raises(EpisodeRejected, match="action must be small, got large"):
        process.call("refuse", cpu_seconds=5)
    with pytest.raises(UnforeseenError, match=r"^KeyError: 'steps'$") as caught:
        process.call("stumble", cpu_seconds=5)
    assert 'raise KeyError("steps")' in caught.value.trace
    with pytest.raises(UnforeseenError, match="AttributeError"):
        process.call("no_such_method", cpu_seconds=5)


def test_the_next_caller_gets_the_same_process_with_an_object_of_its_own():
    with Expendable(Trouble, "first", max_bytes=10**9) as process:
        pid = process.call("answer", np.zeros(1), cpu_seconds=5)[2]
    with Expendable(Trouble, "second", max_bytes=10**9) as process:
        assert process.call("answer", np.zeros(1), cpu_seconds=5)[::2] == ("second", pid)


def test_a_call_under_way_when_the_caller_fails_is_left_to_nobody():
    with pytest.raises(ZeroDivisionError), Expendable(Trouble, "first", max_bytes=10**9) as process:
        pid = process.call("answer", np.zeros(1), cpu_seconds=5)[2]
        process.begin("sleep", cpu_seconds=5)
        raise ZeroDivisionError
    with Expendable(Trouble, "second", max_bytes=10**9) as process:
        assert process.call("answer", np.zeros(1), cpu_seconds=5)[2] != pid
