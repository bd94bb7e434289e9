"""The Franka Hand in two threads of its own, one that moves the fingers and one that reads how far they are open.

Its calls block for as long as the fingers move, and only the latest wish counts; reading does not wait for them. An opening
in [0, 1] becomes a grasp or an opening with hysteresis, so that a hand between the two does not flutter.
"""

import contextlib
import threading
from collections.abc import Callable
from typing import Protocol

from ocrrl.interface.observations import MAX_GRIPPER_WIDTH
from ocrrl.robot.arm.fault import GRIPPER_FAILED

CLOSE_BELOW, OPEN_ABOVE = 0.75, 0.85
"""Early: in simulation fingers follow an opening that falls as it falls, here they begin at once and all the way."""
SPEED = 0.1  # [m/s]
FORCE = 30.0  # [N]
READ_EVERY = 0.02  # [s]
ENDS_WITHIN = 2.0  # [s] a thread; franky gives up a reading after 1 s
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
        """The distance between the fingers [m] as last read; asking for it does not wait for the hand.

        It is `READ_EVERY` and one reading old at most, moving or not, until the hand falls silent, which is a failure.
        """
        return self._width

    def want(self, opening: float) -> None:
        """Close below `CLOSE_BELOW`, open above `OPEN_ABOVE`, stay in between; returns at once."""
        with self._changed:
            self._wish = True if opening > OPEN_ABOVE else False if opening < CLOSE_BELOW else self._wish
            self._changed.notify_all()

    def stop(self) -> None:
        """Stay as the fingers are, and forget what they were asked for."""
        with self._changed:
            busy, follower = self._busy and not self._disconnected.is_set(), self._follower
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
        self._join()
        self._hand = None  # lets go of the old connection
        try:
            self._begin()
        except Exception as error:
            self.failure = f"{GRIPPER_FAILED} to recover: {error}"
            raise

    def close(self) -> None:
        """End the threads; the fingers stay as they are."""
        with self._changed:
            self._over = True
            self._disconnect()
        self._stop_fingers()
        self._join()

    def _begin(self) -> None:
        hand = self._connect()
        self._width = float(hand.width)
        self._hand = hand
        self._wish: bool | None = None  # open, closed, or as it is
        self._done: bool | None = None  # unknown while the fingers move, and after a stop
        self.failure = ""
        self._disconnected = threading.Event()
        self._reader = threading.Thread(
            target=self._read, args=(hand, self._disconnected), name="gripper width", daemon=True
        )
        self._reader.start()
        self._follow_anew(hand)

    def _follow_anew(self, hand: Hand) -> None:
        self._busy = False
        self._ended = threading.Event()
        self._follower = threading.Thread(target=self._follow, args=(hand, self._ended), name="gripper", daemon=True)
        self._follower.start()

    def _disconnect(self) -> None:
        self._disconnected.set()
        self._ended.set()
        self._changed.notify_all()

    def _join(self) -> None:
        self._reader.join(ENDS_WITHIN)
        self._follower.join(ENDS_WITHIN)  # a call of it that never ends says nothing any more

    def _stop_fingers(self) -> None:
        if self._hand is not None:
            with contextlib.suppress(Exception):
                self._hand.stop()

    def _read(self, hand: Hand, disconnected: threading.Event) -> None:
        while not disconnected.wait(READ_EVERY):
            try:
                width = float(hand.width)
            except Exception as error:  # franky's exceptions share no base with Python's own
                with self._changed:
                    if not disconnected.is_set():
                        self._fail(error)
                return
            with self._changed:
                if not disconnected.is_set():
                    self._width = width

    def _follow(self, hand: Hand, ended: threading.Event) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: ended.is_set() or self._asked)
                if ended.is_set():
                    return
                wish, failure = self._wish, None
                self._busy, self._done = True, None
            try:
                if wish:
                    hand.move(MAX_GRIPPER_WIDTH, SPEED)
                else:
                    hand.grasp(GRASP_WIDTH, SPEED, FORCE, EPSILON_INNER, EPSILON_OUTER)
            except Exception as error:
                failure = error
            with self._changed:
                if ended.is_set():
                    return
                self._busy = False
                if failure is None:
                    self._done = wish
                elif wish == self._wish:
                    self._fail(failure)
                    return

    def _fail(self, error: Exception) -> None:
        self.failure = f"{GRIPPER_FAILED}: {error}"
        self._disconnect()

    @property
    def _asked(self) -> bool:
        """Whether the fingers are to go where they are not."""
        return self._wish is not None and self._wish != self._done
