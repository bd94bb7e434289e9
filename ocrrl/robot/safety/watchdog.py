"""A thread that looks at a safety gate once a control period, whatever the one who commands it is doing."""

import threading
from contextlib import suppress

from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.robot.safety.safety_gate import SafetyGate

CLOCK_STANDS_STILL = 0.5  # [s] of wall time; the arm's own clock cannot tell that it has stopped


class Watchdog:
    """Watches `gate` until it is closed, or until the end of its `with`; then, however that came, the arm is stopped for good.

    A look that fails stops the arm; the next one comes all the same.
    """

    def __init__(self, gate: SafetyGate, period: float = 0.5 / CONTROL_HZ) -> None:
        """`period` [s] between two looks; half a control period, so that a lapse is seen within one."""
        self._gate, self._period = gate, period
        self._still_looks = max(1, round(CLOCK_STANDS_STILL / period))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()
        gate.watched_while(self._thread.is_alive)

    def close(self) -> None:
        """End the watch, and stop the arm."""
        self._over.set()
        self._thread.join()
        self._gate.stop()

    def __enter__(self) -> "Watchdog":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _watch(self) -> None:
        last, still = None, 0
        while not self._over.wait(self._period):
            try:
                self._gate.watch()
                now = self._time()
                still = still + 1 if now is not None and now == last else 0
                last = now
                if still >= self._still_looks:
                    self._gate.clock_stands_still()
            except BaseException as error:  # whatever it is, somebody has to go on looking
                with suppress(BaseException):  # the arm is stopped first, or its failing to was told
                    self._gate.watch_failed(error)

    def _time(self) -> float | None:
        try:
            return self._gate.now()
        except RuntimeError:  # out of reach, which the gate sees for itself
            return None
