"""A failed stage's message tells what to do; only a kill is tried again."""

from types import SimpleNamespace

import pytest

from tasks.child_process import Outcome
from tasks.failures import explain, is_busy, worth_another_try
from tasks.graph import Stage

STAGE = Stage("replay@cube_lift", "ocrrl replay cube_lift --round round0", (), timeout=5.0)


def outcome(tmp_path, text, code=255, **more):
    log = tmp_path / "log"
    log.write_text(text)
    return Outcome(code, log, **more)


def tried_again(message):
    return worth_another_try(SimpleNamespace(message=message))


def test_the_last_lines_and_the_whole_log_are_named(tmp_path):
    lines = "\n".join(f"line {number}" for number in range(100))
    text = explain(STAGE, outcome(tmp_path, lines))
    assert "line 99" in text and "line 70" not in text and str(tmp_path / "log") in text
    assert text.startswith("replay · cube_lift · round0 failed with exit code 255")
    assert "finished stages are kept" in text


@pytest.mark.parametrize(
    ("sign", "advice"),
    [
        ("OSError: [Errno 28] No space left on device", "The disk is full"),
        ("ERROR: failed to push data to the cloud - config file error: no remote specified", "dvc remote add"),
        ("ERROR: Unable to acquire lock", "Another DVC command holds the lock"),
    ],
)
def test_known_failures_come_with_their_next_step(tmp_path, sign, advice):
    assert advice in explain(STAGE, outcome(tmp_path, sign))


def test_errors_are_not_tried_again_and_kills_are(tmp_path):
    failed = "ERROR: failed to reproduce 'replay@cube_lift': failed to run: ocrrl replay cube_lift, exited with {}"
    assert not tried_again(explain(STAGE, outcome(tmp_path, failed.format(1))))
    assert tried_again(explain(STAGE, outcome(tmp_path, failed.format(-9))))
    assert tried_again(explain(STAGE, outcome(tmp_path, failed.format(137))))
    assert tried_again(explain(STAGE, outcome(tmp_path, "", code=137)))


def test_a_time_out_and_a_cancellation_are_told_and_not_tried_again(tmp_path):
    late = explain(STAGE, outcome(tmp_path, "", code=143, timed_out=True))
    assert "longer than the 5 s of `meta: timeout`" in late and not tried_again(late)
    stopped = explain(STAGE, outcome(tmp_path, "", code=143, stopped=True))
    assert "stopped with its flow run" in stopped and not tried_again(stopped)


def test_a_file_in_use_is_no_failure_but_a_wait(tmp_path):
    text = "ERROR: '/w/data' is busy, it is being blocked by:\n  (PID 5): dvc repro"
    assert is_busy(outcome(tmp_path, text)) and not is_busy(outcome(tmp_path, text, code=0))
