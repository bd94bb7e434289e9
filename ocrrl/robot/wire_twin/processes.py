"""Starts the wire twin's two processes with a cell and ends them with it, also when the cell's own process was killed."""

import argparse
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

PERIOD = 0.5  # [s] between two looks at the parent
PATIENCE = 60.0  # [s] of wall time for a process to say where it listens


class ServerProcess:
    """`python -m module arguments`, in a process group of its own; its log goes to `log`."""

    def __init__(self, module: str, arguments: Sequence[str], log: Path) -> None:
        """Returns once the process has printed its line of JSON, `told`. RuntimeError with the log's end when it does not."""
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments, "--parent", str(os.getpid())],
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        try:
            self.told = json.loads(self._first_line())
        except (ValueError, TimeoutError) as error:
            self.close()
            ending = log.read_text(errors="replace")[-500:].strip()
            raise RuntimeError(
                f"{module} must say where it listens within {PATIENCE:g} s ({error}): {ending}"
            ) from error

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def pause(self) -> None:
        """Let it stand still, as a cable that was pulled does."""
        os.killpg(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.killpg(self._process.pid, signal.SIGCONT)

    def close(self) -> None:
        """End the process and whatever it started."""
        if self.running:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _first_line(self) -> str:
        assert self._process.stdout is not None
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if select.select([self._process.stdout], [], [], 0.2)[0]:
                return self._process.stdout.readline().decode()
            if not self.running:
                raise TimeoutError(f"it ended with code {self._process.returncode}")
        raise TimeoutError("it said nothing")


def add_parent_argument(parser: argparse.ArgumentParser) -> None:
    """`--parent`: the process whose end is this one's."""
    parser.add_argument("--parent", type=int, help="process id; when it is no longer the parent, this one ends")


def end_with(parent: int | None) -> None:
    """Watch `parent`, where one was named, in a thread."""
    if parent is not None:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PERIOD)
    os._exit(0)
