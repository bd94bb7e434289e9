"""Runs `lerobot-train` to its end: in a process group of its own, its output in a log, its progress in a bar of ours."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tqdm import tqdm

from ocrrl.error_line import out_of_memory
from ocrrl.printable import printable

_POLL = 0.2  # [s] between two looks at the log
_GRACE = 10.0  # [s] from SIGTERM to SIGKILL
_BAR = re.compile(rb"Training: .*\| *(\d+)/\d+ \[")
_LOSS = re.compile(rb"\bloss:(\S+)")
_STEP = re.compile(rb"\bstep:\S+ ")
_BAR_OR_FRAME = re.compile(r"\d+/\d+ \[|^[-=~^ ]*$")
_ERROR = re.compile(r"(\w+\.)*\w*(Error|Exception|Interrupt)\b")
_LAUNCHER = re.compile(r"ChildFailedError|CalledProcessError")
_LONGEST = 400  # characters of the child's own line in ours
_TAIL = 200_000  # bytes of a log that are searched for the last line


def run_to_the_end(
    command: Sequence[str],
    log: Path,
    done: int,
    steps: int,
    progress: bool,
    variables: Mapping[str, str] | None = None,
) -> None:
    """Run `command`, a training that goes on after step `done` of `steps`; its output goes to `log`.

    The child holds the other end of a pipe to this process and ends itself when that is closed; an error here, as Ctrl-C,
    ends it too. Raises RuntimeError with the last line of the log where it fails.
    """
    with (
        tqdm(total=steps, desc="finetune", initial=done, disable=not progress, unit="step") as bar,
        log.open("wb") as output,
        _started(command, output.fileno(), variables or {}) as child,
        log.open("rb") as written,
    ):
        while child.poll() is None:
            time.sleep(_POLL)
            if found := _BAR.findall(written.read()):
                bar.update(done + int(found[-1]) - bar.n)
        bar.update(0 if child.returncode else steps - bar.n)
    if child.returncode:
        raise RuntimeError(_failure(child.returncode, log))


def logged_losses(log: Path) -> list[float]:
    """The losses that `lerobot-train` wrote to `log`, in order."""
    lines = [line for line in log.read_bytes().splitlines() if _STEP.search(line)]
    return [float(found[1]) for line in lines if (found := _LOSS.search(line))]


@contextmanager
def _started(command: Sequence[str], output: int, variables: Mapping[str, str]) -> Iterator[subprocess.Popen]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment | {"PYTHONUNBUFFERED": "1", **variables},
        start_new_session=True,
    )
    try:
        yield child
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            child.wait(_GRACE)
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _failure(code: int, log: Path) -> str:
    """One line on a child that failed: how it ended, what it said last, and where the rest is."""
    ended = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    said = last_line(log, errors=code > 0)
    if memory := out_of_memory(RuntimeError(said)):
        said = (
            f"{memory}; policy.gradient_checkpointing, policy.dtype: bfloat16 and an adapter (lerobot.peft) need less"
        )
    elif code == -signal.SIGKILL:
        said += "; the machine may have run out of memory (see `dmesg`)"
    return (
        f"lerobot-train {ended}: {said}; the whole log is {log}; run the stage again to go on after the last checkpoint"
    )


def last_line(log: Path, errors: bool) -> str:
    """The last line of `log` that is no progress bar, if `errors` the last that names an error, not a launcher's; shortened."""
    with log.open("rb") as written:
        written.seek(max(0, log.stat().st_size - _TAIL))
        text = written.read().decode("utf-8", "replace")
    lines = [line.strip() for line in re.split(r"[\r\n]+", text)]
    said = [line for line in lines if line and not _BAR_OR_FRAME.search(line)] or ["it wrote nothing"]
    named = [line for line in said if _ERROR.match(line) and not _LAUNCHER.search(line)] if errors else []
    return printable((named or said)[-1])[:_LONGEST]
