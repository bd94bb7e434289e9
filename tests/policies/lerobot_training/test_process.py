"""A child in place of `lerobot-train`: its bar, its log, its errors, its end."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest

from ocrrl.policies.lerobot_training.process import last_line, logged_losses, run_to_the_end

BAR = r"print('\rTraining:  25%|##        | {n}/4 [00:00<00:00,  7.75step/s]', end='', file=sys.stderr, flush=True)"
STEP = "print('INFO ot_train.py:641 step:{n} smpl:4 ep:0 epch:0.07 loss:{loss} grdn:1.167 lr:8.5e-04 updt_s:0.035', flush=True)"


def child(*lines):
    return [sys.executable, "-c", "import os, signal, sys, time\n" + "\n".join(lines)]


def test_the_child_s_progress_is_shown_in_our_bar_and_its_losses_are_read(tmp_path, capfd):
    lines = [line for n in (1, 2) for line in (BAR.format(n=n), "time.sleep(0.5)", STEP.format(n=n, loss=2.5 - n))]
    run_to_the_end(child(*lines), tmp_path / "log", done=2, steps=4, progress=True)
    said = capfd.readouterr().err
    assert "finetune:  75%" in said and "3/4" in said and "finetune: 100%" in said
    assert logged_losses(tmp_path / "log") == [1.5, 0.5]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            [BAR.format(n=1), "raise ValueError('the tokenizer is not there')"],
            r"lerobot-train ended with exit code 1: ValueError: the tokenizer is not there; the whole log is .*log; run the stage",
        ),
        (
            ["print('torch.distributed.ChildFailedError: x'); print('KeyError: 4'); print('====='); sys.exit(3)"],
            r"ended with exit code 3: KeyError: 4;",
        ),
        (["print('Creating dataset'); os.kill(os.getpid(), 9)"], r"was ended by SIGKILL: .*may have run out of memory"),
        (
            ["print('torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.'); sys.exit(1)"],
            r"the GPU's memory is too small, 2 GB at once.*an adapter \(lerobot\.peft\) need less; the whole log",
        ),
        (["sys.exit(2)"], r"ended with exit code 2: it wrote nothing; "),
    ],
)
def test_a_child_that_fails_is_told_in_one_line_with_what_it_said_last_and_its_log(tmp_path, lines, message):
    with pytest.raises(RuntimeError, match=message) as raised:
        run_to_the_end(child(*lines), tmp_path / "log", done=0, steps=4, progress=False)
    assert "\n" not in str(raised.value)


def test_a_long_line_and_what_a_terminal_would_obey_are_shortened(tmp_path):
    (tmp_path / "log").write_text("ValueError: \x1b[31m" + "x" * 5000)
    line = last_line(tmp_path / "log", errors=True)
    assert len(line) <= 400 and line.isprintable()


def test_an_interrupted_run_ends_its_child_and_the_child_s_children(tmp_path):
    started = tmp_path / "started"
    grandchild = f"import pathlib, time; pathlib.Path({str(started)!r}).touch(); time.sleep(60)"
    lines = [f"import subprocess; subprocess.Popen([sys.executable, '-c', {grandchild!r}]).wait()"]

    class Interrupted(Exception): ...

    def interrupt(*_):
        if started.exists() or time.monotonic() > deadline:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            raise Interrupted

    before, deadline = signal.signal(signal.SIGALRM, interrupt), time.monotonic() + 30
    try:
        with pytest.raises(Interrupted):
            signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
            run_to_the_end(child("print(os.getpgid(0), flush=True)", *lines), tmp_path / "log", 0, 4, progress=False)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert started.exists(), "the child did not start"
    assert not outlived(int((tmp_path / "log").read_text()), time.monotonic() + 10)


def test_the_child_ends_with_a_parent_that_is_killed(tmp_path):
    lines = [
        "import subprocess, threading",
        "from ocrrl.policies.lerobot_training.child import _end_with_parent",
        "threading.Thread(target=_end_with_parent, daemon=True).start()",
        "print(os.getpgid(0), flush=True)",
        "time.sleep(60)",
    ]
    parent = (
        "from pathlib import Path\nfrom ocrrl.policies.lerobot_training.process import run_to_the_end\n"
        f"run_to_the_end({child(*lines)!r}, Path({str(tmp_path / 'log')!r}), 0, 4, False)"
    )
    process = subprocess.Popen([sys.executable, "-c", parent])
    deadline = time.monotonic() + 30
    while not ((tmp_path / "log").exists() and (tmp_path / "log").read_text().strip()):
        assert process.poll() is None and time.monotonic() < deadline, "the child did not start"
        time.sleep(0.05)
    process.kill()
    process.wait()
    group = int((tmp_path / "log").read_text())
    assert not outlived(group, deadline), "the child outlived its parent"


def outlived(group, deadline):
    """The processes of a group that are there at `deadline`, which are killed; a process that is killed needs a moment to end."""
    while (left := running(group)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for orphan in left:
        orphan.kill()
    return left


def running(group):
    """The processes of a group, without those that have ended and that nobody has asked for their exit code."""
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found
