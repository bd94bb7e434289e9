"""The Franka Hand in a thread of its own: its calls block for as long as the fingers move, and only the latest wish counts.

An opening in [0, 1] becomes a grasp or an opening with hysteresis, so that a hand between the two does not flutter.
"""

import contextlib
import threading
from collections.abc import Callable
from typing import Protocol

from ocrrl.interface.observations import MAX_GRIPPER_WIDTH
from ocrrl.robot.fault import GRIPPER_FAILED

CLOSE_BELOW, OPEN_ABOVE = 0.4, 0.6
SPEED = 0.1  # [m/s]
FORCE = 30.0  # [N]
STOPS_WITHIN = 0.1  # [s] a call that was under way
# Grasping to the object's own width lifts nothing: to zero, and whatever stops the fingers on the way is held.
GRASP_WIDTH, EPSILON_INNER, EPSILON_OUTER = 0.0, 0.005, MAX_GRIPPER_WIDTH


class Hand(Protocol):
    """What is used of `franky.Gripper`."""

    @property
    def width(self) -> float: ...

    def grasp(self, width: float, speed: float, force: float, epsilon_inner: float, epsilon_outer: float) -> bool: ...

    def move(self, width: float, speed: float) -> bool: ...

    def stop(self) -> bool: ...


class GripperThread:
    """Follows the latest of the openings it is given; `failure` says why it no longer does, until `recover`."""

    def __init__(self, connect: Callable[[], Hand]) -> None:
        """`connect` gives the hand, and raises where there is none that is fit; so does this."""
        self._connect = connect
        self._hand: Hand | None = None
        self._changed = threading.Condition()
        self._over = False
        self._begin()

    @property
    def width(self) -> float:
        """The latest distance between the fingers [m]; asking for it does not wait for the hand."""
        return self._width

    def want(self, opening: float) -> None:
        """Close below `CLOSE_BELOW`, open above `OPEN_ABOVE`, stay in between; returns at once."""
        with self._changed:
            self._wish = True if opening > OPEN_ABOVE else False if opening < CLOSE_BELOW else self._wish
            self._changed.notify_all()

    def stop(self) -> None:
        """Stay as the fingers are, and forget what they were asked for."""
        with self._changed:
            busy, follower = self._busy and not self._over, self._thread
            self._wish = self._done = None
            if busy:  # its call may end either way, or never, and says nothing any more
                self._ended.set()
                self._changed.notify_all()
                assert self._hand is not None
                self._follow_anew(self._hand)
        self._stop_fingers()
        if busy:
            follower.join(STOPS_WITHIN)
            if follower.is_alive():  # it may have asked for them only after they were stopped
                self._stop_fingers()

    def recover(self) -> None:
        """After a failure: connect to the hand anew, forget the failure and follow again; the fingers stay until they are asked.

        Raises what connecting does, which is the failure from then on. Does nothing where there was none.
        """
        if not self.failure or self._over:
            return
        self._thread.join()
        self._hand = None  # lets go of the old connection
        try:
            self._begin()
        except Exception as error:
            self.failure = f"the gripper did not recover: {error}"
            raise

    def close(self) -> None:
        """End the thread; the fingers stay as they are."""
        with self._changed:
            self._over = True
            self._ended.set()
            self._changed.notify_all()
        self._stop_fingers()
        self._thread.join(timeout=2.0)

    def _begin(self) -> None:
        hand = self._connect()
        self._width = float(hand.width)
        self._hand = hand
        self._wish: bool | None = None  # open, closed, or as it is
        self._done: bool | None = None  # unknown while the fingers move, and after a stop
        self.failure = ""
        self._follow_anew(hand)

    def _follow_anew(self, hand: Hand) -> None:
        self._busy = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, args=(hand, self._ended), name="gripper", daemon=True)
        self._thread.start()

    def _stop_fingers(self) -> None:
        if self._hand is not None:
            with contextlib.suppress(Exception):
                self._hand.stop()

    def _follow(self, hand: Hand, ended: threading.Event) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: ended.is_set() or self._asked, timeout=0.05)
                if ended.is_set():
                    return
                wish = self._wish if self._asked else None
                if wish is not None:
                    self._busy, self._done = True, None
            failure = ""
            try:
                if wish:
                    hand.move(MAX_GRIPPER_WIDTH, SPEED)
                elif wish is not None:
                    hand.grasp(GRASP_WIDTH, SPEED, FORCE, EPSILON_INNER, EPSILON_OUTER)
                self._width = float(hand.width)
            except Exception as error:  # franky's exceptions share no base with Python's own
                failure = f"{GRIPPER_FAILED}: {error}"
            with self._changed:
                if ended.is_set():
                    return
                self._busy = False
                if not failure:
                    self._done = self._done if wish is None else wish
                elif wish is None or wish == self._wish:
                    self.failure = failure
                    return

    @property
    def _asked(self) -> bool:
        """Whether the fingers are to go where they are not."""
        return self._wish is not None and self._wish != self._done
