"""`RemoteTracker`: a tracker whose poses come from a pose server and whose confidence comes from our verifier.

An estimator's score has no meaning of its own (FoundationPose's author says so of his), so that it is kept for the record
and decides nothing. A server that stalls, dies or talks nonsense costs confidence, never time.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, get_args

import numpy as np
import zmq
from jaxtyping import Bool, Float

from ocrrl.interface import poses, rotations
from ocrrl.interface.frames import Frame
from ocrrl.interface.observations import CONFIDENCE_THRESHOLD
from ocrrl.interface.protocols import PoseEstimate, RobotPosture
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.perception.remote.protocol import (
    MAX_REPLY_BYTES,
    DepthCode,
    ErrorReply,
    PoseReply,
    PoseRequest,
    ProtocolError,
    pack_request,
    unpack_reply,
)


class Masker(Protocol):
    """Finds the pixels of an object that is to be registered."""

    def mask(self, frame: Frame, object_index: int, robot: RobotPosture) -> Bool[np.ndarray, "H W"] | None:
        """Which pixels of `frame` are the object's; None where it is not seen."""
        ...


Verify = Callable[[Frame, RobotPosture, Float[np.ndarray, "O 7"], Bool[np.ndarray, " O"]], Float[np.ndarray, " O"]]
"""Frame, the arm's posture, all objects' poses in the base frame and which of them are of this frame, to the probability in
[0, 1] that each is good: `verifier.PoseVerifier.verify`."""


@dataclass(frozen=True)
class RemoteTrackerConfig:
    """Where the pose server is and how long it is waited for; times [s]."""

    address: str = "tcp://127.0.0.1:5555"
    timeout: float = 0.2
    """For all objects of one frame together."""
    register_timeout: float = 5.0
    """The same for a frame in which an object is registered."""
    retry_after: float = 0.5
    """A server that did not answer is not asked again for so long, or its answers to old questions would pile up."""
    reregister_after: int = 20
    """Frames in a row without a confident pose after which an object is registered anew."""
    depth_code: DepthCode = "float32_m"

    def __post_init__(self) -> None:
        for name in ("timeout", "register_timeout", "retry_after"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be a time above 0 s, got {getattr(self, name)}")
        if self.reregister_after < 1:
            raise ValueError(f"reregister_after must be at least 1 frame, got {self.reregister_after}")
        if not self.address.startswith("tcp://"):
            raise ValueError(f"address must be like tcp://127.0.0.1:5555, got {self.address!r}")
        if self.depth_code not in get_args(DepthCode):
            raise ValueError(f"depth_code must be one of {', '.join(get_args(DepthCode))}, got {self.depth_code!r}")


class RemoteTracker:
    """`PoseTracker` of one tabletop task; it works in the thread that calls it and waits no longer than its config says."""

    def __init__(
        self,
        task: TabletopTask,
        masker: Masker,
        verify: Verify,
        config: RemoteTrackerConfig | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` [s] measures how long the server is waited for."""
        self._task, self._masker, self._verify, self._clock = task, masker, verify, clock
        self._config = config or RemoteTrackerConfig()
        self._socket: zmq.Socket[bytes] | None = None
        self._silent_since: float | None = None
        self.raw_scores = np.full(len(task.objects), np.nan)
        """The estimator's own of each object's latest answer, NaN before the first; for the record."""
        self.trouble = ""
        """What went wrong last, for people."""
        self.reset()

    def reset(self) -> None:
        objects = self._task.objects
        self._session = secrets.token_hex(8)
        self._reference = np.array([tracked.reference_quaternion for tracked in objects], float)
        self._poses = np.concatenate([np.zeros((len(objects), 3)), self._reference], axis=-1)
        self._registered = np.zeros(len(objects), bool)
        self._doubtful = np.zeros(len(objects), int)  # frames in a row
        self._silent_since = None

    def track(self, frame: Frame, robot: RobotPosture) -> PoseEstimate:
        masks = self._masks(frame, robot)
        limit = self._config.register_timeout if masks else self._config.timeout
        deadline = self._clock() + limit
        seen = [index for index in range(len(self._task.objects)) if self._registered[index] or index in masks]
        replies = {index: self._ask(frame, index, masks.get(index), deadline) for index in seen}
        confidence = self._believe(frame, robot, {i: reply for i, reply in replies.items() if reply is not None})
        for index in seen:
            self._judge(index, confidence[index])
        return PoseEstimate(frame.captured, self._poses.copy(), confidence)

    def close(self) -> None:
        """Let go of the server."""
        self._drop_socket()

    def _masks(self, frame: Frame, robot: RobotPosture) -> dict[int, np.ndarray]:
        """The masks of the objects that are to be registered now and are seen."""
        if self._waits(frame):
            return {}
        missing = [index for index, registered in enumerate(self._registered) if not registered]
        found = {index: self._masker.mask(frame, index, robot) for index in missing}
        return {index: mask for index, mask in found.items() if mask is not None and mask.any()}

    def _waits(self, frame: Frame) -> bool:
        """Whether the server is given time to come back."""
        return self._silent_since is not None and 0 <= frame.captured - self._silent_since < self._config.retry_after

    def _ask(self, frame: Frame, index: int, mask: np.ndarray | None, deadline: float) -> PoseReply | None:
        """The server's answer, None where there is none by `deadline`; `trouble` says why."""
        if self._waits(frame):
            return None
        name = self._task.objects[index].name
        request = PoseRequest(
            kind="track" if mask is None else "register",
            session=self._session,
            object_name=name,
            colour=frame.colour,
            depth=frame.depth,
            intrinsics=frame.intrinsics,
            captured=frame.captured,
            mask=mask,
        )
        try:
            reply = unpack_reply(self._exchange(pack_request(request, self._config.depth_code), deadline))
        except TimeoutError as error:
            self.trouble, self._silent_since = f"{name}: {error}", frame.captured
            return None
        except ProtocolError as error:
            self.trouble = f"{name}: {error}"
            return None
        self._silent_since = None
        if isinstance(reply, ErrorReply):
            self.trouble = f"{name}: {reply.code}: {reply.error}"
            if reply.code == "not_registered":  # a server that was started anew
                self._registered[index] = False
            return None
        if mask is not None:
            self._registered[index], self._doubtful[index] = True, 0
        return reply

    def _exchange(self, message: bytes, deadline: float) -> bytes:
        """Send `message`, and wait for the answer until `deadline`; TimeoutError, the connection dropped."""
        if self._socket is None:
            self._socket = self._connected()
        try:
            self._socket.send(message, zmq.NOBLOCK)
            if self._socket.poll(max(0, round(1000 * (deadline - self._clock()))), zmq.POLLIN):
                return self._socket.recv(zmq.NOBLOCK)
        except zmq.ZMQError as error:
            self._drop_socket()
            raise TimeoutError(f"the pose server at {self._config.address} cannot be reached: {error}") from error
        self._drop_socket()  # a REQ socket without its answer can ask nothing more
        raise TimeoutError(f"the pose server at {self._config.address} must answer in time, it did not")

    def _connected(self) -> "zmq.Socket[bytes]":
        # The process's own context, which is never ended: one that is collected as garbage waits for its open sockets.
        socket = zmq.Context.instance().socket(zmq.REQ)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_REPLY_BYTES)
        socket.connect(self._config.address)
        return socket

    def _drop_socket(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _believe(self, frame: Frame, robot: RobotPosture, replies: dict[int, PoseReply]) -> Float[np.ndarray, " O"]:
        """Take over the poses, canonical and in the base frame; the verifier's confidence in each, 0 without an answer."""
        confidence, known = np.zeros(len(self._task.objects)), np.zeros(len(self._task.objects), bool)
        if not replies:
            return confidence
        poses_in_base = self._poses.copy()
        for index, reply in replies.items():
            self.raw_scores[index], known[index] = reply.score, True
            poses_in_base[index] = self._canonical(frame, index, reply)
        confidence[known] = np.asarray(self._verify(frame, robot, poses_in_base, known), float)[known]
        for index in replies:
            if not 0.0 <= confidence[index] <= 1.0:
                name = self._task.objects[index].name
                raise ValueError(f"the verifier's confidence in {name} must be in [0, 1], got {confidence[index]}")
            if confidence[index] >= CONFIDENCE_THRESHOLD:  # a pose gone astray must not move the reference
                self._reference[index] = poses_in_base[index, 3:]
        self._poses = poses_in_base
        return confidence

    def _canonical(self, frame: Frame, index: int, reply: PoseReply) -> Float[np.ndarray, " 7"]:
        """The pose in the base frame, of its symmetric equivalents the one nearest to the reference."""
        tracked, camera = self._task.objects[index], frame.camera_pose
        position = camera[:3] + rotations.rotate(camera[3:], reply.pose[:3])
        quaternion = rotations.normalise(rotations.multiply(camera[3:], reply.pose[3:]))
        quaternion = poses.canonical_quaternion(quaternion, tracked.symmetry, self._reference[index])
        return np.concatenate([position, quaternion])

    def _judge(self, index: int, confidence: float) -> None:
        """Give up a registration that has not been confident for long; a silent server is no reason."""
        self._doubtful[index] = 0 if confidence >= CONFIDENCE_THRESHOLD else self._doubtful[index] + 1
        if self._doubtful[index] >= self._config.reregister_after and self._silent_since is None:
            self._registered[index], self._doubtful[index] = False, 0
