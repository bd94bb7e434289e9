"""A hand whose calls block for as long as its fingers move, as the Franka Hand's do."""

import time


class SlowHand:
    """Fingers that take their time, and note what they were asked."""

    def __init__(self):
        self.width, self.asked, self.broken = 0.08, [], False

    def grasp(self, width, speed, force, epsilon_inner, epsilon_outer):
        return self._go("close", 0.03)

    def move(self, width, speed):
        return self._go("open", width)

    def stop(self):
        return True

    def _go(self, what, width):
        if self.broken:
            raise RuntimeError("no more air")
        self.asked.append(what)
        time.sleep(0.1)
        self.width = width
        return True
