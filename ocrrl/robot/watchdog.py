"""A thread that looks at a safety gate once a control period, whatever the one who commands it is doing."""

import threading

from ocrrl.interface.actions import CONTROL_HZ
from ocrrl.robot.safety_gate import SafetyGate


class Watchdog:
    """Watches `gate` until it is closed, or until the end of its `with`; then, however that came, the arm is stopped."""

    def __init__(self, gate: SafetyGate, period: float = 0.5 / CONTROL_HZ) -> None:
        """`period` [s] between two looks; half a control period, so that a lapse is seen within one."""
        self._gate, self._period = gate, period
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

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
        while not self._over.wait(self._period):
            try:
                self._gate.watch()
            except BaseException:
                self._gate.stop()
                raise
