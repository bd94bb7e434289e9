"""Converts a camera's time to the time of the arm's clock."""

from collections import deque


class DeviceClock:
    """Maps a device's timestamps by the smallest difference (arrival - timestamp) of the last `window` seconds.

    A frame's arrival is its timestamp plus the unknown offset between the clocks plus a delay that is never negative and
    varies with the bus and the scheduler. The smallest difference has the smallest delay, so it is the best measure of
    the offset (the minimum filter of NTP, RFC 5905 section 10). What remains is that smallest delay itself, some
    milliseconds: times are late by it and never early. The window is there because two crystals part by up to some 50 ppm,
    3 ms a minute: an old minimum would go wrong for good.
    """

    def __init__(self, window: float = 30.0) -> None:
        self._window = window
        # Arrivals [s] and differences [s], both rising: whatever is older and larger can never be the smallest again.
        self._candidates: deque[tuple[float, float]] = deque()

    def time_of(self, timestamp: float, arrival: float) -> float:
        """When a frame stamped `timestamp` [s] by the device and arrived at `arrival` [s] was taken, on the arm's clock [s]."""
        difference = arrival - timestamp
        while self._candidates and self._candidates[-1][1] >= difference:
            self._candidates.pop()
        self._candidates.append((arrival, difference))
        while self._candidates[0][0] < arrival - self._window:
            self._candidates.popleft()
        return timestamp + self._candidates[0][1]
