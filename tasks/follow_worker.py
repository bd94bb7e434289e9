"""Ends a flow run's process when its worker ends, so that nothing runs unseen."""

import os
import signal
import threading
import time

POLL = 1.0  # seconds


def follow_worker() -> None:
    """Where a worker started this process, end it with SIGTERM once that worker is gone; else do nothing."""
    if "PREFECT__FLOW_RUN_ID" not in os.environ or _following.is_set():
        return
    _following.set()
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True, name="follow-worker").start()


_following = threading.Event()


def _watch(worker: int) -> None:
    while os.getppid() == worker:
        time.sleep(POLL)
    os.kill(os.getpid(), signal.SIGTERM)  # Prefect marks the run as crashed; the children's pipes close
