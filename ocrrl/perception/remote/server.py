"""A pose server: takes requests one after the other, and answers each with a pose or with what was wrong.

    python -m ocrrl.perception.remote.server --backend ocrrl.perception.remote.foundation_pose:open_backend --meshes meshes

It listens on this machine only, unless `--bind` names another address: there is no password, so only name one of a network
that you trust.
"""

import argparse
import importlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import zmq

from ocrrl.perception.remote.protocol import (
    MAX_REQUEST_BYTES,
    ErrorReply,
    PoseReply,
    PoseRequest,
    ProtocolError,
    pack_reply,
    unpack_request,
)

DEFAULT_ADDRESS = "tcp://127.0.0.1:5555"
_LOOK_EVERY = 100  # [ms] at the event that ends it


class PoseBackend(Protocol):
    """A pose estimator that keeps one registration an object; poses are the object's in the camera's optical frame."""

    def register(self, request: PoseRequest) -> PoseReply:
        """Find the object anew, in `request.mask`; raises RuntimeError where it cannot."""
        ...

    def track(self, request: PoseRequest) -> PoseReply:
        """Follow the object from its last pose; raises RuntimeError where it cannot."""
        ...


OpenBackend = Callable[[Path], PoseBackend]
"""Makes a backend from the folder of the objects' meshes."""


class PoseServer:
    """Answers requests with a backend, and knows which session registered which object."""

    def __init__(self, backend: PoseBackend) -> None:
        self._backend = backend
        self._registered: dict[str, str] = {}

    def answer(self, message: bytes) -> bytes:
        """The reply to `message`, whatever it holds."""
        try:
            request = unpack_request(message)
        except ProtocolError as error:
            return pack_reply(ErrorReply("bad_request", str(error)))
        name, session = request.object_name, request.session
        if request.kind == "track" and self._registered.get(name) != session:
            error = f"{name} must be registered by session {session} before it is tracked"
            return pack_reply(ErrorReply("not_registered", error))
        try:
            if request.kind == "register":
                self._registered.pop(name, None)
                reply = self._backend.register(request)
                self._registered[name] = session
            else:
                reply = self._backend.track(request)
        except (RuntimeError, ValueError, KeyError) as error:
            return pack_reply(ErrorReply("failed", f"{request.kind} of {name}: {error}"))
        return pack_reply(reply)


def serve(
    server: PoseServer, address: str, over: threading.Event, listening: Callable[[str], object] = lambda address: None
) -> None:
    """Answer requests at `address` until `over`; `listening` is told the address, its port resolved.

    Raises ValueError for an address that names no single network.
    """
    if any(wildcard in address for wildcard in ("*:", "//0.0.0.0", "//[::]")):
        raise ValueError(f"address must name the one network to listen on, got {address}; on this machine: 127.0.0.1")
    context = zmq.Context()
    socket = context.socket(zmq.REP)
    try:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_REQUEST_BYTES)  # a larger one is cut off before it is in memory
        socket.bind(address)
        listening(socket.getsockopt_string(zmq.LAST_ENDPOINT))
        while not over.is_set():
            if socket.poll(_LOOK_EVERY):
                socket.send(server.answer(socket.recv()))
    finally:
        socket.close()
        context.term()


def load_backend(name: str) -> OpenBackend:
    """The function `module:function`; ValueError where there is none."""
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"backend must be module:function that can be imported, got {name!r}: {error}") from error


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m ocrrl.perception.remote.server", description=__doc__)
    parser.add_argument("--backend", required=True, help="module:function that makes the estimator from a folder")
    parser.add_argument("--meshes", type=Path, required=True, help="folder with <object>.ply or <object>.obj, metres")
    parser.add_argument("--bind", default=DEFAULT_ADDRESS, help=f"address to listen on (default {DEFAULT_ADDRESS})")
    options = parser.parse_args(arguments)
    server = PoseServer(load_backend(options.backend)(options.meshes))
    try:
        serve(server, options.bind, threading.Event(), lambda address: print(f"listening on {address}", flush=True))
    except KeyboardInterrupt:
        print("stopped")


if __name__ == "__main__":
    main()
