"""File locks of running stages: one writer per output, no writer of what a stage reads.

Each has a file under `.work/running/` that it holds locked (flock) while it runs, with what it writes and reads; the system
gives the lock back when its process ends, however it ends. Clones that share `data/` and not `.work/` do not see each
other, nor do computers whose common file system has no flock.
"""

import errno
import fcntl
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ocrrl.files import locked
from ocrrl.layout import WORK

FOLDER = WORK / "running"
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


@contextmanager
def files_reserved(name: str, reads: Sequence[str | Path] = (), writes: Sequence[str | Path] = ()) -> Iterator[None]:
    """For the body, `name` is what reads and writes these files and folders; what another name does there is refused.

    RuntimeError naming the other one where both write the same, where one writes what the other reads, or where both have
    the same name; a folder counts with all that is in it.
    """
    mine = {
        "name": name,
        "process": os.getpid(),
        "reads": [os.path.realpath(path) for path in reads],
        "writes": [os.path.realpath(path) for path in writes],
    }
    with ExitStack() as held:
        try:
            with locked(FOLDER / ".lock"):
                for other in _others():
                    _refuse_beside(mine, other)
                entry = FOLDER / f"{name.replace('/', '_')}-{os.getpid()}.json"
                file = held.enter_context(entry.open("w"))
                held.callback(entry.unlink, missing_ok=True)
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.write(json.dumps(mine))
                file.flush()
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            said = f"{FOLDER} lies on a file system without locks ({error.strerror})"
            print(f"{name}: {said}: see to it that nothing else works on the same files", file=sys.stderr)
        yield


def _others() -> Iterator[dict]:
    """What runs, to one who holds the lock of the folder; the entries of those that were killed are removed."""
    for path in sorted(FOLDER.glob("*.json")):
        try:
            file = path.open()
        except FileNotFoundError:  # it has ended meanwhile
            continue
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield json.loads(file.read())
            else:
                path.unlink(missing_ok=True)


def _refuse_beside(mine: dict, other: dict) -> None:
    """RuntimeError where `mine` must not run beside `other`."""
    name, who = mine["name"], f"{other['name']} (process {other['process']})"
    if (both := _common(mine["writes"], other["writes"])) or name == other["name"]:
        clash = f"must be the only one to write {both or 'its outputs'}, got {who}, which writes there too"
    elif both := _common(mine["reads"], other["writes"]):
        clash = f"must read what is finished, got {both}, which {who} is writing"
    elif both := _common(mine["writes"], other["reads"]):
        clash = f"must not write what another one reads, got {both}, which {who} is reading"
    else:
        return
    raise RuntimeError(f"{name} {clash}: wait until that has ended, or end it, then run this again")


def _common(these: Sequence[str], those: Sequence[str]) -> str:
    """The first place that lies in both, as seen from the working folder; empty where none does."""
    for this in these:
        for that in those:
            if Path(this).is_relative_to(that) or Path(that).is_relative_to(this):
                return os.path.relpath(max(this, that, key=len))
    return ""
