"""Frames, and servers on loopback that do as a test says."""

import threading
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import zmq

from ocrrl.interface import rotations
from ocrrl.interface.frames import Frame, Intrinsics
from ocrrl.interface.protocols import RobotPosture
from ocrrl.perception.remote.protocol import PoseReply
from ocrrl.perception.remote.server import PoseServer, serve

HEIGHT, WIDTH = 48, 64
CAMERA_POSE = np.array([0.9, 0.1, 0.7, *rotations.normalise(np.array([0.1, 0.7, 0.65, -0.2]))])
ROBOT = RobotPosture(np.zeros(7), 0.08)


def frame_at(captured: float = 0.0, seed: int = 0) -> Frame:
    rng = np.random.default_rng(seed)
    return Frame(
        colour=rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8),
        depth=rng.uniform(0.3, 1.2, (HEIGHT, WIDTH)).astype(np.float32),
        captured=captured,
        intrinsics=Intrinsics(WIDTH, HEIGHT, 60.0, 61.0, 31.5, 23.5),
        camera_pose=CAMERA_POSE,
    )


def in_camera(pose_in_base: np.ndarray) -> np.ndarray:
    """The inverse of what the client does."""
    back = rotations.conjugate(CAMERA_POSE[3:])
    position = rotations.rotate(back, pose_in_base[:3] - CAMERA_POSE[:3])
    return np.concatenate([position, rotations.multiply(back, pose_in_base[3:])])


class ScriptedBackend:
    """Answers every request with `poses[object]` in the camera frame; `requests` are those it was given."""

    def __init__(self, poses: dict[str, np.ndarray], score: float = 0.5) -> None:
        self.poses, self.score, self.requests = poses, score, []
        self.before: Callable[[], object] = lambda: None

    def register(self, request):
        return self._answer(request)

    def track(self, request):
        return self._answer(request)

    def _answer(self, request):
        self.requests.append(request)
        self.before()
        return PoseReply(self.poses[request.object_name], self.score, 0.002)


def open_scripted(meshes: Path) -> ScriptedBackend:
    """A backend for the command line: every object in `meshes` stands half a metre before the camera."""
    pose = np.array([0.0, 0.0, 0.5, 1.0, 0.0, 0.0, 0.0])
    return ScriptedBackend({path.stem: pose for path in meshes.glob("*.ply")})


@contextmanager
def running(backend, address: str = "tcp://127.0.0.1:*"):
    """A real `serve` in a thread; yields its address."""
    over, found, known = threading.Event(), [], threading.Event()

    def listening(at: str) -> None:
        found.append(at)
        known.set()

    thread = threading.Thread(target=serve, args=(PoseServer(backend), address, over, listening), daemon=True)
    thread.start()
    assert known.wait(5.0)
    try:
        yield found[0]
    finally:
        over.set()
        thread.join()


@contextmanager
def answering(message: Callable[[bytes], bytes]):
    """A server that answers with whatever bytes `message` makes of the request's."""
    context, over = zmq.Context(), threading.Event()
    socket = context.socket(zmq.REP)
    socket.setsockopt(zmq.LINGER, 0)
    port = socket.bind_to_random_port("tcp://127.0.0.1")

    def loop() -> None:
        while not over.is_set():
            if socket.poll(20):
                socket.send(message(socket.recv()))

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield f"tcp://127.0.0.1:{port}"
    finally:
        over.set()
        thread.join()
        socket.close()
        context.term()
