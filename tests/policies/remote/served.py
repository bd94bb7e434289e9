"""Servers for the tests, in threads of this process: a checkpoint by `serve-vla`'s own code, and scripts that fail in every way."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import torch
import zmq

from ocrrl.interface.observations import GRIPPER_DOWN, RobotState
from ocrrl.policies.checkpoint import load_vla
from ocrrl.policies.compact_architecture import CompactArchitecture
from ocrrl.policies.compact_checkpoint import CompactCheckpoint, save_compact
from ocrrl.policies.compact_network import CompactNetwork
from ocrrl.policies.language import HASH, InstructionEncoder
from ocrrl.policies.normalisation import Normalisation
from ocrrl.policies.policy_type import policy_type
from ocrrl.policies.remote.serving import gr00t_server, openpi_server
from ocrrl.policies.remote.serving.service import Service, contract_of
from ocrrl.policies.remote.tokens import Token
from tests.policies.synthetic import INSTRUCTION

SIZE = (32, 32)
SERVERS = {
    "openpi": (openpi_server, openpi_server.serve_openpi),
    "gr00t": (gr00t_server, gr00t_server.serve_gr00t),
}


def write_compact(folder: Path, seed: int = 0, size: tuple[int, int] = SIZE) -> Path:
    """An untrained default VLA with chunks of 8."""
    torch.manual_seed(seed)
    random, encoder = np.random.default_rng(seed), InstructionEncoder(HASH)
    encoder.embed(INSTRUCTION)
    network = CompactNetwork(CompactArchitecture({"front": size, "wrist": size}, chunk_size=8, n_action_steps=4))
    state, action = random.normal(size=(20, 8)), 0.01 * random.normal(size=(20, 7))
    statistics = Normalisation.of(state.astype(np.float32), action.astype(np.float32))
    save_compact(folder, CompactCheckpoint(network, statistics, encoder))
    return folder


@contextmanager
def running(serve: Callable[[threading.Event, Callable[[str], object]], object]) -> Iterator[str]:
    """Within, `serve(over, listening)` runs in a thread; the address that it listens at."""
    over, addresses, failures = threading.Event(), queue.Queue(), []

    def run() -> None:
        try:
            serve(over, addresses.put)
        except Exception as error:
            failures.append(error)
            addresses.put("")

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        address = addresses.get(timeout=20)
        if failures:
            raise failures[0]
        yield address
    finally:
        over.set()
        thread.join(10)


@contextmanager
def served(
    checkpoint: Path, protocol: str, token: str = "", port: int = 0, max_batch: int = 16, max_wait: float = 0.0
) -> Iterator[tuple[str, Service]]:
    """Within, the checkpoint is served on this machine; address and service."""
    module, serve = SERVERS[protocol]
    vla = load_vla(checkpoint, "cpu", {policy_type(checkpoint): True})
    contract = contract_of(checkpoint, vla, max_batch, module.IMAGE_KEY, module.STATE_KEY, module.PROMPT)
    service = Service(vla, contract, max_wait, Token(token) if token else None)
    with ExitStack() as opened:
        opened.callback(service.close)
        address = opened.enter_context(
            running(lambda over, listening: serve(service, "127.0.0.1", port, over, listening))
        )
        yield address, service


@contextmanager
def scripted_gr00t(answer: Callable[[bytes], bytes | None]) -> Iterator[str]:
    """Within, a ZMQ server answers each message with what `answer` makes of it; None: silence."""

    def serve(over: threading.Event, listening: Callable[[str], object]) -> None:
        with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
            router.setsockopt(zmq.LINGER, 0)
            router.bind("tcp://127.0.0.1:*")
            listening(router.getsockopt_string(zmq.LAST_ENDPOINT))
            while not over.is_set():
                if router.poll(20):
                    *envelope, data = router.recv_multipart()
                    if (reply := answer(data)) is not None:
                        router.send_multipart([*envelope, reply])

    with running(serve) as address:
        yield address


@contextmanager
def scripted_openpi(converse: Callable[..., None]) -> Iterator[str]:
    """Within, a websocket server has `converse(connection)` talk to each client."""
    from websockets.sync.server import serve as serve_websocket

    def serve(over: threading.Event, listening: Callable[[str], object]) -> None:
        with serve_websocket(converse, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            listening(f"ws://127.0.0.1:{server.socket.getsockname()[1]}")
            over.wait()
            server.shutdown()

    with running(serve) as address:
        yield address


def robots(count: int, seed: int = 0) -> tuple[dict[str, np.ndarray], RobotState]:
    """Images of both cameras and states of `count` robots, no two alike."""
    random = np.random.default_rng(seed)
    images = {name: random.integers(0, 256, (count, *SIZE, 3), np.uint8) for name in ("front", "wrist")}
    pose = np.concatenate([random.uniform(0.2, 0.6, (count, 3)), np.tile(GRIPPER_DOWN, (count, 1))], axis=-1)
    commanded = pose + np.pad(random.uniform(-0.01, 0.01, (count, 3)), ((0, 0), (0, 4)))
    return images, RobotState(pose, commanded, random.uniform(-1, 1, (count, 7)), random.uniform(0, 0.08, count))
