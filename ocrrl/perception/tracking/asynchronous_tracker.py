"""An object tracker in a thread of its own: whoever asks gets the latest estimate at once, and never waits for a frame."""

import threading
from collections import deque
from collections.abc import Callable

from ocrrl.interface.protocols import PoseEstimate, PoseTracker, RobotPosture
from ocrrl.perception.cameras.frames import FrameSource

IDLE = 0.002  # [s] between two looks for a new frame
POSTURES = 200  # kept, of the last seconds


class PostureHistory:
    """Where the arm was, to know where it was when a frame was taken; filled and read by different threads."""

    def __init__(self) -> None:
        self._postures: deque[tuple[float, RobotPosture]] = deque(maxlen=POSTURES)

    def add(self, time: float, posture: RobotPosture) -> None:
        """The arm at `time` [s]."""
        self._postures.append((time, posture))

    def at(self, time: float) -> RobotPosture | None:
        """The posture nearest in time; None before the first."""
        postures = list(self._postures)
        return min(postures, key=lambda known: abs(known[0] - time))[1] if postures else None


class AsynchronousTracker:
    """Tracks every new frame of `frames`; `latest` gives the newest estimate."""

    def __init__(
        self, tracker: PoseTracker, frames: FrameSource, posture_at: Callable[[float], RobotPosture | None]
    ) -> None:
        """`posture_at` gives the arm as it was at a frame's time; a frame without one is left out."""
        self._tracker, self._frames, self._posture_at = tracker, frames, posture_at
        self._lock = threading.Lock()
        self._estimate: PoseEstimate | None = None
        self._failure: Exception | None = None
        self._forget, self._over = False, threading.Event()
        self._since = float("-inf")
        self._thread = threading.Thread(target=self._follow, name="tracker", daemon=True)
        self._thread.start()

    def reset(self, now: float) -> None:
        """Register the objects anew, from frames that are taken after `now` [s]."""
        with self._lock:
            self._forget, self._since, self._estimate = True, now, None

    def latest(self) -> PoseEstimate | None:
        """The newest estimate; None until there is one since the reset. RuntimeError when camera or tracker failed."""
        with self._lock:
            if self._failure is not None:
                raise RuntimeError(f"object tracking ended: {self._failure}") from self._failure
            return self._estimate

    def close(self) -> None:
        """End the thread and close the tracker; the camera stays open."""
        self._over.set()
        self._thread.join()
        self._tracker.close()

    def _follow(self) -> None:
        seen = float("-inf")
        while not self._over.wait(IDLE):
            try:
                frame = self._frames.latest()
            except RuntimeError as error:  # a camera that was lost may come back
                self._fail(error)
                continue
            with self._lock:
                forget, since = self._forget, self._since
                self._forget, self._failure = False, None
            try:
                if forget:
                    self._tracker.reset()
                if frame is None or frame.captured <= max(seen, since):
                    continue
                seen = frame.captured
                if (posture := self._posture_at(frame.captured)) is None:
                    continue
                estimate = self._tracker.track(frame, posture)
                with self._lock:
                    if estimate.captured > self._since:
                        self._estimate = estimate
            except Exception as error:  # shown to whoever asks next: a dead thread must not look like an object at rest
                self._fail(error)
                return

    def _fail(self, error: Exception) -> None:
        with self._lock:
            self._failure = error
