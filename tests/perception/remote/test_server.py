"""The server answers whatever it is sent, listens where it is told only, and adapts FoundationPose's library."""

import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import zmq

from ocrrl.interface import rotations
from ocrrl.perception.remote.client import RemoteTracker, RemoteTrackerConfig
from ocrrl.perception.remote.foundation_pose import FoundationPoseBackend, open_backend
from ocrrl.perception.remote.protocol import MAX_REQUEST_BYTES, PoseReply, pack_request, unpack_reply
from ocrrl.perception.remote.server import PoseServer, load_backend, main, numeric_address, serve
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from tests.perception.remote.pose_server import HEIGHT, ROBOT, WIDTH, ScriptedBackend, frame_at, running
from tests.perception.remote.test_protocol import POSE, request
from tests.pipeline_copy import ROOT


def ask(address: str, message: bytes, wait: int = 2000) -> bytes | None:
    context = zmq.Context()
    socket = context.socket(zmq.REQ)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(address)
    socket.send(message)
    answer = socket.recv() if socket.poll(wait) else None
    socket.close()
    context.term()
    return answer


def test_a_server_outlives_every_bad_request():
    with running(ScriptedBackend({"cuboid": POSE})) as address:
        assert unpack_reply(ask(address, b"garbage")).code == "bad_request"
        assert unpack_reply(ask(address, pack_request(request("track")))).code == "not_registered"
        assert ask(address, bytes(MAX_REQUEST_BYTES + 1), wait=300) is None, "cut off without an answer"
        reply = unpack_reply(ask(address, pack_request(request("register"))))
        assert isinstance(reply, PoseReply)
        np.testing.assert_array_equal(reply.pose, POSE)


def test_an_object_unknown_to_the_estimator_is_a_failure_that_is_told():
    reply = unpack_reply(PoseServer(ScriptedBackend({})).answer(pack_request(request("register"))))
    assert (reply.code, reply.error) == ("failed", "register of cuboid: 'cuboid'")


def start(meshes, bind: str) -> tuple[subprocess.Popen, str]:
    """The command line's server, and its address."""
    command = [sys.executable, "-m", "ocrrl.perception.remote.server", "--meshes", str(meshes), "--bind", bind]
    backend = "tests.perception.remote.pose_server:open_scripted"
    process = subprocess.Popen([*command, "--backend", backend], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    said = process.stdout.readline()
    assert said.startswith("listening on tcp://127.0.0.1:"), said
    return process, said.split()[-1]


def test_a_server_process_that_is_killed_in_mid_track_is_found_again_when_it_is_back(tmp_path):
    (tmp_path / "cuboid.ply").touch()
    process, address = start(tmp_path, "tcp://127.0.0.1:*")
    config = RemoteTrackerConfig(address, timeout=0.5, register_timeout=5.0, retry_after=0.1)
    whole = np.ones((HEIGHT, WIDTH), bool)
    masker = SimpleNamespace(mask=lambda frame, index, robot: whole)
    tracker = RemoteTracker(CUBE_LIFT, masker, lambda *_: np.ones(1), config)
    confidence = []
    for step in range(60):
        confidence.append(tracker.track(frame_at(step / 10), ROBOT).confidence[0])
        if step == 10:
            process.kill()
            process.wait()
        if step == 12:
            process, _ = start(tmp_path, address)
        if step > 12 and confidence[-1] == 1.0:
            break
    process.terminate()
    process.wait()
    tracker.close()
    assert confidence[:11] == [1.0] * 11 and confidence[11:13] == [0.0] * 2 and confidence[-1] == 1.0


EVERY_NETWORK = [
    *("tcp://0.0.0.0:5555", "tcp://0:5555", "tcp://00.0.0.0:5555", "tcp://0x0:5555", "tcp://0.0:5555", "tcp://000:*"),
    *("tcp://[::]:5555", "tcp://[::ffff:0.0.0.0]:5555", "tcp://[0:0:0:0:0:0:0:0]:5555", "tcp://[::0]:*"),
    *("tcp://224.0.0.1:5555", "tcp://[ff02::1]:5555"),
]


@pytest.mark.parametrize("address", EVERY_NETWORK)
def test_listening_on_every_network_at_once_is_refused_however_it_is_written(address):
    with pytest.raises(ValueError, match="name the one network"):
        serve(PoseServer(ScriptedBackend({})), address, threading.Event())


def test_a_name_that_resolves_to_every_network_is_refused(monkeypatch):
    found = [(2, 1, 6, "", ("127.0.0.1", 0)), (2, 1, 6, "", ("0.0.0.0", 0))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: found)
    with pytest.raises(ValueError, match="name the one network"):
        numeric_address("tcp://innocent.example:5555")


@pytest.mark.parametrize(
    "address",
    [
        *("", "5555", "127.0.0.1:5555", "tcp://", "tcp://:5555", "tcp://*:5555", "tcp://*:*", "tcp://127.0.0.1"),
        *("tcp://127.0.0.1:", "tcp://127.0.0.1:99999", "tcp://127.0.0.1:-1", "tcp://127.0.0.1:port"),
        *("tcp://127.0.0.1:5555;0.0.0.0:5555", "ipc:///tmp/x", "inproc://x", "udp://127.0.0.1:5555", "tcp://[::1:5555"),
        *(
            "tcp://no such host:5555",
            "tcp://nowhere.invalid:5555",
            "tcp://203.0.113.7:5555",
            "tcp://" + "a" * 300 + ":1",
        ),
    ],
)
def test_an_address_that_cannot_be_listened_on_is_one_line_and_exit_code_1(address, tmp_path, capsys):
    (tmp_path / "cuboid.ply").touch()
    backend = "tests.perception.remote.pose_server:open_scripted"
    assert main(["--backend", backend, "--meshes", str(tmp_path), f"--bind={address}"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("pose server: address must ") and said.count("\n") == 1


@pytest.mark.parametrize("address", ["tcp://localhost:*", "tcp://127.1:*", "tcp://0x7f000001:*"])
def test_a_name_is_listened_on_under_its_number(address):
    with running(ScriptedBackend({"cuboid": POSE}), address) as found:
        assert found.startswith("tcp://127.0.0.1:")


def ask_in_parts(address: str, *parts: bytes) -> bytes:
    context = zmq.Context()
    socket = context.socket(zmq.REQ)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(address)
    socket.send_multipart(parts)
    assert socket.poll(2000)
    answer = socket.recv()
    socket.close()
    context.term()
    return answer


class Faulty(ScriptedBackend):
    """Raises `fault`, or gives `reply` in place of a pose."""

    def __init__(self, fault=None, reply=None):
        super().__init__({})
        self.fault, self.reply = fault, reply

    def _answer(self, request):
        if self.fault is not None:
            raise self.fault
        return PoseReply(*self.reply) if isinstance(self.reply, tuple) else self.reply


FAULTS = [
    TypeError("t"),
    OSError(5, "gone"),
    AttributeError("a"),
    IndexError("i"),
    ZeroDivisionError(),
    MemoryError("m"),
    AssertionError(),
]
REPLIES = [
    *(None, 3, (None, 0.5, 0.1), (POSE[:3], 0.5, 0.1), (POSE, None, 0.1)),
    *((POSE * np.nan, 0.5, 0.1), (POSE, 0.5, float("inf")), ([["x"] * 7], "x", 0.1)),
]


@pytest.mark.wrong_shapes
@pytest.mark.parametrize("backend", [*(Faulty(fault) for fault in FAULTS), *(Faulty(reply=reply) for reply in REPLIES)])
def test_a_backend_s_fault_is_the_answer_to_its_request_and_the_next_is_answered(backend):
    told = []
    server = PoseServer(backend, told.append)
    reply = unpack_reply(server.answer(pack_request(request("register"))))
    assert reply.code == "failed" and reply.error.startswith("register of cuboid: ")
    if backend.fault is not None and not isinstance(backend.fault, KeyError):
        assert type(backend.fault).__name__ in reply.error and "Traceback" in told[0]
    assert unpack_reply(server.answer(pack_request(request("track")))).code == "not_registered", "it was not registered"
    backend.fault, backend.reply = None, PoseReply(POSE, np.float32(0.5), np.float64(0.1))
    good = unpack_reply(server.answer(pack_request(request("register"))))
    assert isinstance(good, PoseReply) and good.score == 0.5


def test_a_message_of_several_parts_is_a_bad_request_and_no_end():
    with running(ScriptedBackend({"cuboid": POSE})) as address:
        message = pack_request(request("register"))
        for parts in ((b"", b""), (message, b""), (b"x",) * 50):
            reply = unpack_reply(ask_in_parts(address, *parts))
            assert reply.code == "bad_request" and f"one part, got {len(parts)}" in reply.error
        assert isinstance(unpack_reply(ask(address, message)), PoseReply)


def test_a_backend_is_found_by_module_and_function():
    assert load_backend("ocrrl.perception.remote.foundation_pose:open_backend") is open_backend
    for wrong in ("nowhere:open", "ocrrl.perception.remote.foundation_pose:nothing", "nonsense"):
        with pytest.raises(ValueError, match="backend must be module:function"):
            load_backend(wrong)


class FakeLibrary:
    """`foundation_pose_nvidia` as its documentation shows it."""

    def __init__(self, pose):
        self.pose, self.made, self.frames = pose, [], []
        self.EstimatorOptions = SimpleNamespace(from_env=lambda mesh, mesh_unit_scale: (mesh, mesh_unit_scale))
        self.RuntimeConfig = lambda **sizes: sizes
        self.RgbdFrame = lambda rgb, depth_m, intrinsics, mask=None: (rgb, depth_m, intrinsics, mask)
        library = self

        class Estimator:
            def __init__(self, options, config):
                library.made.append((options, config))

            def __enter__(self):
                return self

            def register(self, frame):
                library.frames.append(frame)
                return SimpleNamespace(pose=library.pose, score=3.0, elapsed_s=0.1)

            track = register

        self.Estimator = Estimator


def test_foundation_pose_is_given_and_gives_what_the_protocol_means(tmp_path):
    (tmp_path / "cuboid.ply").touch()
    matrix = np.eye(4)
    matrix[:3, 3], matrix[:3, :3] = POSE[:3], rotations.to_matrix(POSE[3:])
    library = FakeLibrary(matrix.astype(np.float32))
    backend = FoundationPoseBackend(tmp_path, library)
    for kind in ("register", "track"):
        reply = getattr(backend, kind)(request(kind))
        np.testing.assert_allclose(reply.pose, POSE, atol=1e-6)
        assert (reply.score, reply.seconds) == (3.0, 0.1)
    assert library.made == [((str(tmp_path / "cuboid.ply"), 1.0), {"max_image_width": 64, "max_image_height": 48})], (
        "one estimator an object"
    )
    (rgb, depth, k, mask), (*_, no_mask) = library.frames
    assert (rgb.dtype, depth.dtype, k.dtype, mask.dtype) == (np.uint8, np.float32, np.float32, np.uint8)
    assert set(np.unique(mask)) == {0, 255} and no_mask is None and rgb.flags.writeable
    np.testing.assert_array_equal(k, np.array([[60, 0, 31.5], [0, 61, 23.5], [0, 0, 1]], np.float32))


def test_foundation_pose_without_its_library_or_meshes_says_what_is_missing(tmp_path):
    with pytest.raises(RuntimeError, match="foundation_pose_nvidia must be installed"):
        open_backend(tmp_path)
    with pytest.raises(ValueError, match=r"must hold <object>\.ply or <object>\.obj, got none"):
        FoundationPoseBackend(tmp_path, FakeLibrary(None))
