"""Ends a server when its parent process ends, also when that was killed."""

import argparse
import os
import threading
import time

PERIOD = 0.5  # [s]


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
