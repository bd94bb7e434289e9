"""Runs one command in a process group of its own and ends every process of it.

    python supervisor.py LOG_FILE COMMAND...      stdin: a pipe that the starter holds open for as long as the command may run

Whatever ends first ends all: when the command ends, what it left behind in its group is killed; when stdin closes (the
starter closed it, or was killed itself), the group gets SIGTERM and, after a few seconds, SIGKILL. The command's output
goes to LOG_FILE. The first line on stdout is the group's id; the exit code is the command's, 128 + the signal's number
where a signal ended it. Standard library only: it starts in milliseconds and has nothing that could fail.
"""

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

GRACE = 5.0  # seconds between SIGTERM and SIGKILL


def main(log_file: Path, command: list[str]) -> int:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the starter decides, by closing stdin
    with log_file.open("ab") as log:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0, preexec_fn=_default_signals
        )
    print(child.pid, flush=True)
    ended = os.pidfd_open(child.pid)
    ready, _, _ = select.select([ended, sys.stdin], [], [])
    if ended not in ready:
        signal_group(child.pid, signal.SIGTERM)
        select.select([ended], [], [], GRACE)
    signal_group(child.pid, signal.SIGKILL)
    code = child.wait()
    return code if code >= 0 else 128 - code


def signal_group(group: int, number: signal.Signals) -> None:
    """Send a signal to every process of `group`; none may be left."""
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _default_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
