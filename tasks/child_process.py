"""Runs a command in its own process group; its output goes to a file and, line by line, to a callback.

The child never outlives the process that started it: see `tasks/supervisor.py`.
"""

import getpass
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

SUPERVISOR = Path(__file__).with_name("supervisor.py")
POLL = 0.2  # seconds between two looks at the log
TAIL = 25  # lines of a failed command's log that its error shows

_running: set["Child"] = set()
_running_changed = threading.Lock()


@dataclass(frozen=True)
class Outcome:
    """How a command ended. `code` as a shell gives it: 128 + n for signal n."""

    code: int
    log: Path
    timed_out: bool = False
    stopped: bool = False

    def tail(self, lines: int = TAIL) -> str:
        """The last lines of the log; progress bars that overwrote themselves count as their last state."""
        shown = [_last_state(line) for line in self.log.read_bytes()[-200_000:].split(b"\n")]
        return "\n".join([line for line in shown if line][-lines:])


def run_child(
    command: list[str],
    log: Path,
    workspace: Path,
    variables: dict[str, str],
    on_line: Callable[[str], None],
    on_progress: Callable[[str], None] = lambda text: None,
    timeout: float | None = None,
) -> Outcome:
    """Run `command` in `workspace` until it ends, `timeout` seconds pass, or `stop_children` is called.

    `variables` are added to the environment. `on_line` gets every whole line of output as it comes; `on_progress` the
    state of a progress bar, which is a line that overwrites itself, and an empty text while there was no output at all.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch()
    start, position = time.monotonic(), log.stat().st_size
    timed_out = False
    with started(command, log, workspace, variables) as child:
        with log.open("rb") as output:
            output.seek(position)
            lines = _LineReader(output, on_line)
            while child.process.poll() is None:
                lines.read()
                if lines.unfinished or not lines.count:
                    on_progress(lines.unfinished)
                timed_out = timeout is not None and time.monotonic() - start > timeout
                if timed_out:
                    child.stop()
                    child.process.wait()
                    break
                time.sleep(POLL)
            lines.read(last=True)
        return Outcome(child.process.returncode, log, timed_out, child.stopped and not timed_out)


def stop_children() -> None:
    """End every running child and its group; each `run_child` then returns."""
    with _running_changed:
        children = list(_running)
    for child in children:
        child.stop()


def ask(
    command: Sequence[str], workspace: Path, variables: Mapping[str, str] | None = None, timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    """What a short `command` says in `workspace`, in the environment of a stage. Raises as `subprocess.run` does."""
    ours, silent = environment(variables or {}), subprocess.DEVNULL
    return subprocess.run(
        command,
        cwd=workspace,
        env=ours,
        stdin=silent,
        capture_output=True,
        timeout=timeout,
        text=True,
        errors="replace",
    )


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """This process's environment for a child that runs `dvc` or `ocrrl`: those of this Python, one thread a process.

    A user id without a name, as a container's may be, gets one: DVC and torch ask for it.
    """
    programs = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", os.defpath)
    ours = {
        "PATH": path if programs in path.split(os.pathsep) else f"{programs}{os.pathsep}{path}",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        "PYTHONUNBUFFERED": "1",
        "DVC_NO_ANALYTICS": "1",
    }
    try:
        getpass.getuser()
    except (KeyError, OSError):
        ours |= {"USER": f"uid{os.getuid()}", "LOGNAME": f"uid{os.getuid()}"}
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return inherited | ours | dict(variables)


class Child:
    """A command that runs under its supervisor."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.stopped = False

    def stop(self) -> None:
        """Ask for its end: SIGTERM to its group, SIGKILL some seconds later; does not wait."""
        self.stopped = True
        if self.process.stdin and not self.process.stdin.closed:
            self.process.stdin.close()


@contextmanager
def started(command: list[str], log: Path, workspace: Path, variables: dict[str, str]) -> Iterator[Child]:
    """`command` running in a group of its own; on leaving, it is ended and nothing of it is left."""
    log.parent.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-I", str(SUPERVISOR), str(log), *command],
        cwd=workspace,
        env=environment(variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    child = Child(process)
    with _running_changed:
        _running.add(child)
    assert process.stdout is not None
    group = process.stdout.readline().strip()
    try:
        yield child
    finally:
        child.stop()
        process.wait()
        if process.returncode < 0 and group:  # the supervisor itself was killed
            with suppress(ProcessLookupError):
                os.killpg(int(group), signal.SIGKILL)
        process.stdout.close()
        with _running_changed:
            _running.discard(child)


class _LineReader:
    """Hands on the whole lines that were added to an open file."""

    def __init__(self, file: BinaryIO, on_line: Callable[[str], None]) -> None:
        self._file, self._on_line, self._rest = file, on_line, b""
        self.count = 0

    @property
    def unfinished(self) -> str:
        """The last state of a line that has not ended yet."""
        return _last_state(self._rest)

    def read(self, last: bool = False) -> None:
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        if last and self._rest:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self.count += 1
            if text := _last_state(line):
                self._on_line(text)


def _last_state(line: bytes) -> str:
    """What a line shows after all its carriage returns."""
    states = [state for state in line.decode(errors="replace").split("\r") if state.strip()]
    return states[-1].rstrip() if states else ""
