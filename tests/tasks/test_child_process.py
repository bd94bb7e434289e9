"""A child ends with whoever started it, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from tasks.child_process import run_child, stop_children
from tests.pipeline_copy import ROOT

LONG = "sleep 300"


@pytest.fixture
def call(tmp_path):
    def call(script, **more):
        lines = []
        outcome = run_child(["bash", "-c", script], tmp_path / "child.log", tmp_path, {}, lines.append, **more)
        return outcome, lines

    return call


def sleepers(marker):
    found = []
    for process in psutil.process_iter():
        try:
            if marker in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def gone(marker, seconds=10):
    deadline = time.monotonic() + seconds
    while sleepers(marker):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def until(there):
    deadline = time.monotonic() + 20
    while not (found := there()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def test_output_goes_to_the_log_and_line_by_line_to_the_listener(call):
    outcome, lines = call("echo one; echo two >&2; exit 3")
    assert (outcome.code, sorted(lines)) == (3, ["one", "two"])
    assert outcome.log.read_text().split() == lines


def test_a_progress_bar_is_one_line_in_its_last_state(call):
    seen = []
    outcome, lines = call(
        "printf '10%%|\\r50%%|\\r'; sleep 0.6; printf '100%%|\\n'; echo done", on_progress=seen.append
    )
    assert lines == ["100%|", "done"] and "50%|" in seen
    assert outcome.tail() == "100%|\ndone"


def test_the_log_of_an_earlier_try_is_kept_and_not_read_again(call):
    call("echo first")
    outcome, lines = call("echo second")
    assert lines == ["second"] and outcome.log.read_text() == "first\nsecond\n"


def test_what_the_command_leaves_behind_is_killed(call):
    outcome, _ = call("(sleep 301 &) ; echo started")
    assert outcome.code == 0 and gone("301")


def test_a_time_out_ends_the_whole_group(call):
    outcome, _ = call("sleep 302 & sleep 302", timeout=0.5)
    assert outcome.timed_out and outcome.code and gone("302")


def test_a_command_that_ignores_sigterm_is_killed_after_a_grace(call, monkeypatch):
    start = time.monotonic()
    outcome, _ = call("trap '' TERM; sleep 303; sleep 303", timeout=0.3)
    assert outcome.timed_out and outcome.code == 128 + signal.SIGKILL and gone("303")
    assert time.monotonic() - start < 15


def test_stopping_ends_every_child(call):
    threading.Timer(0.7, stop_children).start()
    outcome, _ = call("sleep 304")
    assert outcome.stopped and not outcome.timed_out and gone("304")


def test_a_child_killed_from_outside_is_told_by_its_signal(call):
    threading.Thread(target=lambda: until(lambda: sleepers("305"))[0].kill(), daemon=True).start()
    outcome, _ = call("exec sleep 305")
    assert outcome.code == 128 + signal.SIGKILL


def test_killing_the_supervisor_leaves_no_orphan(call):
    def kill_supervisor():
        sleeper = until(lambda: sleepers("306"))[0]
        os.kill(sleeper.ppid(), signal.SIGKILL)

    threading.Thread(target=kill_supervisor, daemon=True).start()
    outcome, _ = call("exec sleep 306")
    assert outcome.code and gone("306")


def test_killing_the_starter_leaves_no_orphan(tmp_path):
    code = (
        "import sys; from pathlib import Path; from tasks.child_process import run_child\n"
        f"run_child(['bash', '-c', 'sleep 307 & sleep 307'], Path({str(tmp_path)!r}) / 'log', Path('.'), {{}}, print)"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    until(lambda: sleepers("307"))
    starter.kill()
    starter.wait()
    assert gone("307")
